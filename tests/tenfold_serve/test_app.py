"""What of the Serve application needs no Ray: its arguments, and the champion to start with."""

from __future__ import annotations

import pytest

from tenfold.errors import UserError
from tenfold.settings import Settings
from tenfold_serve import app
from tenfold_serve.app import EndpointReplica, build, limits_from
from tenfold_serve.arms import ArmBoard
from tenfold_serve.endpoint import EndpointLimits
from tests.tenfold_serve.support import Publish


def test_limits_are_the_arguments_or_the_endpoints_own() -> None:
    assert limits_from({}) == EndpointLimits()
    given = {"max_rows": "7", "max_body_bytes": 99.0, "key_columns": ["a", "b"]}
    assert limits_from(given) == EndpointLimits(7, 99, ("a", "b"))


@pytest.mark.parametrize("args", [{}, {"project": ""}, {"limits": {}}])
def test_an_application_without_a_project_is_refused(args: dict[str, object]) -> None:
    with pytest.raises(UserError) as caught:
        build(args)
    assert str(caught.value) == (
        "the application needs the argument project: the name of a project"
    )


def test_an_application_carries_its_arguments_and_starts_nothing() -> None:
    import ray

    args = {"project": "mixed", "limits": {"max_rows": 5}}
    was_running = ray.is_initialized()
    made = build(args)
    bound = made._bound_deployment
    assert bound.init_args == (args,)
    assert bound.name == EndpointReplica.name
    assert ray.is_initialized() is was_running


def test_a_deployment_refuses_what_it_cannot_hold_and_reserves_nothing() -> None:
    assert EndpointReplica.max_ongoing_requests < EndpointReplica.max_queued_requests
    assert EndpointReplica.ray_actor_options["num_cpus"] == 0


def test_a_replica_of_its_own_starts_with_the_champion(
    settings: Settings, publish: Publish
) -> None:
    board = ArmBoard()
    assert app._champion_config(settings, "mixed") == {"arms": []}
    lineup = board.change(app._champion_config(settings, "mixed"))
    assert lineup.reason == "no champion yet: train a model, or promote one"
    publish(0)
    assert app._champion_config(settings, "mixed") == {"arms": []}
    champion = publish(1, promote=True)
    (arm,) = board.change(app._champion_config(settings, "mixed")).arms
    assert (arm.name, arm.version, arm.weight) == ("champion", 2, 1.0)
    assert arm.digest == champion.model_digest
    assert board.lineup.weights == (1.0,)
