"""How users log in, as data: password, then a second factor for the privileged and for whoever has set one up."""

from typing import Any

BROWSER_FLOW = "refsys-browser"
DIRECT_FLOW = "refsys-direct-grant"
SECOND_FACTOR = "second-factor"

Step = dict[str, Any]


def flows() -> dict[str, list[Step]]:
    """Return both flows, each the list of its steps in their order.

    A step is an execution (`provider`) or the name of a flow of its own with `steps`.
    """
    return {
        BROWSER_FLOW: [
            _step("auth-cookie", "ALTERNATIVE"),
            _flow(
                "refsys-browser-forms",
                "ALTERNATIVE",
                [
                    _step("auth-username-password-form", "REQUIRED"),
                    *_second_factor("refsys-browser", "auth-otp-form"),
                ],
            ),
        ],
        DIRECT_FLOW: [
            _step("direct-grant-validate-username", "REQUIRED"),
            _step("direct-grant-validate-password", "REQUIRED"),
            *_second_factor("refsys-direct", "direct-grant-validate-otp"),
        ],
    }


def _second_factor(prefix: str, provider: str) -> list[Step]:
    # Who must show one sets it up at the first login in a browser; without, no password grant.
    must = _role("privileged", negate=False)
    need_not = _role("others", negate=True)
    return [
        _flow(f"{prefix}-privileged", "CONDITIONAL", [must, _step(provider, "REQUIRED")]),
        _flow(
            f"{prefix}-others",
            "CONDITIONAL",
            [need_not, _step("conditional-user-configured", "REQUIRED"), _step(provider, "REQUIRED")],
        ),
    ]


def _role(name: str, *, negate: bool) -> Step:
    config = {"condUserRole": SECOND_FACTOR, "negate": str(negate).lower()}
    return _step("conditional-user-role", "REQUIRED") | {"config": config, "name": name}


def _step(provider: str, requirement: str) -> Step:
    return {"provider": provider, "requirement": requirement}


def _flow(name: str, requirement: str, steps: list[Step]) -> Step:
    return {"flow": name, "requirement": requirement, "steps": steps}
