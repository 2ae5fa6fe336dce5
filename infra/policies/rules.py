"""The rules: each says what it finds, why that is refused, and what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from refsys.infra.costs import Estimate, monthly, prices_of
from refsys.infra.environment import Environment
from refsys.infra.plan.changes import Action, Plan, Resource
from refsys.infra.policies import facts
from refsys.infra.policies.settings import RuleName


@dataclass(frozen=True)
class Subject:
    """What is judged: the environment's config, and what an `up` makes of it."""

    environment: Environment
    plan: Plan
    cost: Estimate
    """Of a month after the change."""
    unprotected: bool = False
    """Whether the operator typed the protected environment's name."""

    @classmethod
    def of(cls, environment: Environment, plan: Plan, *, unprotected: bool = False) -> "Subject":
        """Price the outcome too."""
        return cls(environment, plan, monthly(plan.after, prices_of(environment)), unprotected)


Found = Iterator[tuple[str, str]]
"""Names of resources, and what is wrong with each."""


@dataclass(frozen=True)
class Rule:
    """A rule over the whole."""

    name: RuleName
    why: str
    fix: str
    find: Callable[[Subject], Found]
    advice: Callable[[Environment], bool] = field(default=lambda _: False)
    """Where this holds, the rule only warns."""


def judged_always(environment: Environment) -> bool:
    """Whether the environment makes what the world may reach: this machine and existing ones stand where they stand."""
    return environment.cloud not in ("local", "existing")


def _of_each(look: Callable[[Resource, Environment], str]) -> Callable[[Subject], Found]:
    def find(subject: Subject) -> Found:
        for resource in subject.plan.after:
            if what := look(resource, subject.environment):
                yield resource.name, what

    return find


def _ssh(subject: Subject) -> Found:
    for resource in subject.plan.after:
        if any(opening.is_ssh_from_anywhere for opening in facts.openings(resource)):
            yield resource.name, "lets everybody come to port 22"
    if judged_always(subject.environment) and facts.ANYWHERE & set(subject.environment.perimeter.operators_from):
        yield "perimeter.operators_from", "lets everybody come to SSH of the control plane"


def _volume(resource: Resource, environment: Environment) -> str:
    kind = facts.volume_type(resource)
    if not facts.is_volume(resource) or kind in environment.policies.encrypted_volume_types:
        return ""
    return f"is of type {kind or '(the default)'}, which is not known to encrypt"


def _tags(resource: Resource, environment: Environment) -> str:
    has = facts.tags(resource)
    missing = sorted(set(environment.policies.tags) - has) if has is not None else []
    return f"has no tag {', '.join(missing)}" if missing else ""


def _bucket(resource: Resource, _: Environment) -> str:
    access = facts.public_access(resource)
    return f"is open to everybody ({access})" if access else ""


def _protected(subject: Subject) -> Found:
    if not subject.environment.protected or subject.unprotected:
        return
    for change in subject.plan.changes:
        if change.action in (Action.REPLACE, Action.DELETE) and facts.holds_data(change.resource):
            because = f", because {' and '.join(change.because)} changes" if change.because else ""
            yield change.resource.name, f"would be {'replaced' if change.because else 'removed'}{because}"


def _nodes(subject: Subject) -> Found:
    limit, has = subject.environment.limits.nodes, sum(map(facts.is_node, subject.plan.after))
    if limit is not None and has > limit:
        yield "limits.nodes", f"{has} nodes, {limit} are allowed"


def _vcpus(subject: Subject) -> Found:
    limit = subject.environment.limits.vcpus
    if limit is None:
        return
    counted = [(node.name, facts.vcpus(node)) for node in subject.plan.after if facts.is_node(node)]
    yield from ((name, "is of a type whose processors are not known") for name, has in counted if has is None)
    has = sum(each or 0 for _, each in counted)
    if has > limit:
        yield "limits.vcpus", f"{has:g} processors, {limit:g} are allowed"


def _cost(subject: Subject) -> Found:
    limit, cost = subject.environment.limits.cost_per_month, subject.cost
    if limit is None:
        return
    yield from (("limits.cost_per_month", f"can't be kept without a price: {each}") for each in cost.unpriced)
    if cost.total > limit:
        yield "limits.cost_per_month", f"{cost.total:.2f} EUR a month, {limit:.2f} are allowed"


RULES = (
    Rule(
        "ssh-from-anywhere",
        "passwords and stolen keys are tried on every open SSH port within minutes",
        "name the operators' networks in refsys:perimeter: {operators_from: […]}",
        _ssh,
    ),
    Rule(
        "unencrypted-volume",
        "who gets hold of the disk or of a snapshot reads the data",
        "take a volume type that encrypts, and name it in refsys:policies: {encrypted_volume_types: […]}",
        _of_each(_volume),
        advice=lambda environment: not environment.policies.encrypted_volume_types,
    ),
    Rule(
        "missing-tags",
        "without them nobody knows whose it is, and who pays",
        "give the resource the tags of refsys:policies: {tags: […]}",
        _of_each(_tags),
    ),
    Rule(
        "public-bucket",
        "products are given out by the PRIP, to those who may have them",
        "take the access of everybody away from the bucket",
        _of_each(_bucket),
    ),
    Rule(
        "protected",
        "the environment is protected (refsys:protected), and data would be lost with it",
        "if that is what you want: the same command with --unprotect and the environment's name",
        _protected,
    ),
    Rule("too-many-nodes", "a limit of the config", "make fewer, or raise refsys:limits", _nodes),
    Rule("too-many-vcpus", "a limit of the config", "make them smaller, or raise refsys:limits", _vcpus),
    Rule("too-expensive", "a limit of the config", "make it smaller, or raise refsys:limits", _cost),
)
