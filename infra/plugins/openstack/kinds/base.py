"""What the resource types have in common: a table of inputs over a collection of the cloud's REST interface."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from refsys.infra.plugins.common.errors import PluginError
from refsys.infra.plugins.common.values import Properties
from refsys.infra.plugins.openstack.api import Api
from refsys.infra.plugins.openstack.errors import BrokenError, CloudError, NoAnswerError, NotReadyError, with_fix
from refsys.infra.plugins.openstack.marks import Found, first_mark, is_mark
from refsys.infra.plugins.openstack.work import Work

BUSY_SECONDS = 90
"""How long a removal is tried again while the cloud says that something uses the object."""
LOST_SECONDS = 30
"""How long an object is looked for whose creation was not answered."""


@dataclass(frozen=True)
class Field:
    """One input of a resource type, as the vendor's schema has it."""

    api: str = ""
    """Its name in the cloud's object; empty where the type treats it itself."""
    replaces: bool = False
    required: bool = False
    computed: bool = False
    """The cloud fills it in where the program doesn't; leaving it out is no change."""
    default: Any = None
    unordered: bool = False
    partial: bool = False
    """The cloud's own may hold more than the program's (tags, metadata)."""


NAME = Field("name", computed=True)
DESCRIPTION = Field("description")
TAGS = Field(unordered=True, partial=True)
REGION = Field(replaces=True, computed=True)
PROJECT = Field("tenant_id", replaces=True, computed=True)


class Kind:
    """A resource type."""

    urn_type: ClassVar[str]
    title: ClassVar[str]
    service: ClassVar[str]
    path: ClassVar[str]
    member: ClassVar[str]
    """The key around one object."""
    members: ClassVar[str]
    """The key around many."""
    fields: ClassVar[Mapping[str, Field]]
    outputs: ClassVar[Mapping[str, str]] = {}
    """Outputs that are no inputs, and their names in the cloud's object."""
    secret_outputs: ClassVar[tuple[str, ...]] = ()
    marked: ClassVar[bool] = True
    mark_at_creation: ClassVar[bool] = False
    listed_whole: ClassVar[bool] = False
    """Whether a listing tells as much of an object as a request for it alone."""
    seconds: ClassVar[float] = 600

    def body(self, api: Api, inputs: Properties) -> Properties:
        """The inputs in the cloud's words."""
        return {
            field.api: inputs[key] for key, field in self.fields.items() if field.api and inputs.get(key) is not None
        }

    def told(self, api: Api, live: Properties) -> Properties:
        """What of the inputs the cloud tells."""
        return {key: live[field.api] for key, field in self.fields.items() if field.api and field.api in live}

    def more(self, api: Api, live: Properties) -> Properties:
        """Outputs that are no inputs."""
        return {key: live.get(name) for key, name in self.outputs.items()}

    def imported(self, api: Api, live: Properties) -> Properties:
        """Inputs that only an import asks for, because they take a request of their own."""
        return {}

    def failed(self, live: Properties) -> str:
        """Why the object is beyond use, empty where it isn't."""
        return "its status is ERROR" if live.get("status") == "ERROR" else ""

    def refused(self, inputs: Properties) -> Iterator[tuple[str, str]]:
        """What else is wrong with inputs: pairs of property and reason."""
        yield from ()

    def disguised(self, inputs: Properties) -> Properties:
        """Outputs that hide an input which is nobody's business."""
        return {}

    def identity(self, live: Properties) -> str:
        """The id of an object."""
        return str(live["id"])

    def bound(self, inputs: Properties, identity: str) -> "Kind":
        """The type for one object; others than members of pools need no more."""
        return self

    def place(self, identity: str = "") -> str:
        """The path of the collection, or of one object."""
        return f"{self.path}/{identity}" if identity else self.path

    # What the engine asks for

    def create(self, api: Api, work: Work, inputs: Properties) -> Properties:
        """Make the object; what an interrupted run made of it goes first.

        Raises:
            NotReadyError: it is there, and not as it should be.
        """
        before = self._remove_orphans(api, work)
        try:
            live = self.post(api, work, inputs)
            work.ledger.claim(self.identity(live), work.urn)
        except NoAnswerError as error:
            found = self._lost(api, work, inputs, before)
            if found is None:
                raise PluginError(
                    f"{error}\n  fix: run the same command again: what was made of it all the same is found by its mark"
                ) from error
            live = found
        return self._finished(api, work, live, inputs)

    def read(self, api: Api, identity: str) -> Properties | None:
        """Read the object, None where it is gone."""
        answer = api.get(self.service, self.place(identity))
        return answer.get(self.member, answer) if answer is not None else None

    def look(self, api: Api, identity: str) -> Properties | None:
        """Read the object for an engine that looks at everything: many at once, where a listing tells as much."""
        if not self.listed_whole:
            return self.read(api, identity)
        one = partial(Kind.read, self, api)
        return api.collections.of(self.service, self.path, one, lambda: self._listed(api)).read(identity)

    def update(self, api: Api, work: Work, identity: str, old: Properties, new: Properties) -> Properties:
        """Change the object in place to what the new inputs say."""
        changed = self.body(api, self.changed(old, new)) | self.cleared(old, new)
        if changed:
            api.send(self.service, "PUT", self.place(identity), {self.member: changed})
        live = self.read(api, identity)
        if live is None:
            raise PluginError("it is gone from the cloud\n  fix: ./refsys up looks at everything and makes it anew")
        return self._finished(api, work, live, new, old)

    def delete(self, api: Api, work: Work, identity: str, inputs: Properties) -> None:
        """Remove the object, and wait until it is gone."""
        path = self.place(identity)

        def remove() -> str:
            try:
                api.delete(self.service, path)
            except CloudError as error:
                if error.status != 409:
                    raise
                return error.advised()
            return ""

        work.until(remove, BUSY_SECONDS)
        work.until(lambda: self._still_there(api, identity))

    # What types fill in

    def post(self, api: Api, work: Work, inputs: Properties) -> Properties:
        """Ask for the object."""
        return dict(api.send(self.service, "POST", self.path, {self.member: self.body(api, inputs)})[self.member])

    def finish(self, api: Api, work: Work, live: Properties, inputs: Properties, old: Properties | None) -> Properties:
        """Do what is left once the object is there, and wait until it is ready; again on top of it, nothing changes."""
        return live

    # Steps

    def changed(self, old: Properties, new: Properties) -> Properties:
        """The new inputs that differ from the old ones."""
        return {key: value for key, value in new.items() if old.get(key) != value}

    def cleared(self, old: Properties, new: Properties) -> Properties:
        """Inputs that were left out, as the value that means nothing to the cloud."""
        gone = (key for key in old if key not in new and key in self.fields)
        fields = [(self.fields[key], old[key]) for key in gone if not self.fields[key].computed]
        return {field.api: _nothing(field, value) for field, value in fields if field.api}

    def found(self, api: Api) -> dict[str, Found]:
        """The project's objects of this type, by id."""
        return {
            identity: Found(
                identity, str(item.get("name")), str(item.get("description") or ""), first_mark(self.tags(item))
            )
            for identity, item in self._listed(api).items()
        }

    def listing(self) -> str:
        """Where many are read."""
        return self.path

    def tags(self, live: Properties) -> list[str]:
        """An object's tags."""
        return list(live.get("tags") or [])

    def own_tags(self, live: Properties) -> list[str]:
        """An object's tags without marks."""
        return [tag for tag in self.tags(live) if not is_mark(tag)]

    def _listed(self, api: Api) -> dict[str, Properties]:
        # Of networks and their parts, administrators see those of all projects.
        query = {"project_id": api.project} if self.service == "network" else {}
        items = api.all(self.service, self.listing(), self.members, **query)
        return {self.identity(item): item for item in items}

    def _finished(
        self, api: Api, work: Work, live: Properties, inputs: Properties, old: Properties | None = None
    ) -> Properties:
        identity = self.identity(live)
        broken = False
        try:
            live = self.finish(api, work, live, inputs, old)
            reason = self.failed(live)
            broken = bool(reason)
        except CloudError as error:
            reason = error.advised()
        except PluginError as error:
            reason = str(error)
            broken = isinstance(error, BrokenError)
        if reason:
            told = reason if "fix:" in reason else with_fix(reason)
            raise NotReadyError(told, identity, live, broken=broken)
        return live

    def _remove_orphans(self, api: Api, work: Work) -> Mapping[str, Found]:
        if not self.marked:
            return {}
        before = work.ledger.before(self.urn_type, lambda: self.found(api))
        for identity in work.ledger.orphans(work.urn, before):
            work.progress.warn(f"removing {self.title} {identity}, which an interrupted run left")
            self.delete(api, work, identity, {})
        return before

    def _lost(self, api: Api, work: Work, inputs: Properties, before: Mapping[str, Found]) -> Properties | None:
        """The object whose creation was not answered: it bears the mark, or is new and has the name and no mark."""
        if not self.marked:
            return None
        hits: list[str] = []

        def alike(item: Found) -> bool:
            wanted = str(inputs.get("name")), str(inputs.get("description") or "")
            return (item.name, item.description) == wanted

        def look() -> str:
            now = self.found(api).values()
            fresh = [item for item in now if item.identity not in before]
            hits[:] = [item.identity for item in fresh if item.mark == work.mark] or [
                item.identity for item in fresh if not self.mark_at_creation and not item.mark and alike(item)
            ]
            found = len(hits) == 1 and work.ledger.claim(hits[0], work.urn)
            return "" if found else "looking for what an unanswered request made"

        try:
            work.until(look, LOST_SECONDS)
        except PluginError:
            return None
        return self.read(api, hits[0])

    def _still_there(self, api: Api, identity: str) -> str:
        live = self.read(api, identity)
        if live is None or str(live.get("status")).upper() == "DELETED":
            return ""
        return f"{self.title} {identity} is being removed"


def _nothing(field: Field, value: Any) -> Any:
    if field.default is not None:
        return field.default
    if isinstance(value, list):
        return []
    return "" if isinstance(value, str) else None
