"""Where requests spent their time, from what Triton counts."""

from millrace_operator.model.inference import InferenceLoad
from millrace_operator.observation.triton import Server, counters_in, load, spell_between

PAGE = """# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{model="digits",version="1"} 10
nv_inference_request_failure{model="digits",reason="OTHER",version="1"} 3
nv_inference_queue_duration_us{model="digits",version="1"} 1e+06
nv_inference_compute_input_duration_us{model="digits",version="1"} 100000
nv_inference_compute_infer_duration_us{model="digits",version="1"} 300000
nv_inference_compute_output_duration_us{model="digits",version="1"} 100000
nv_inference_pending_request_count{model="digits",version="1"} 4
"""


def page(*, requests: int, queue: int, infer: int, model: str = "digits") -> str:
    values = {"request_success": requests, "queue_duration_us": queue, "compute_infer_duration_us": infer}
    return "".join(f'nv_inference_{name}{{model="{model}",version="1"}} {value}\n' for name, value in values.items())


def loaded(*pages: str, seconds: float = 2.0) -> InferenceLoad | None:
    server = Server()
    for i, text in enumerate(pages):
        server.take_in(counters_in(text), now=100 + i * seconds)
    return load([server.spells_since(0.0)])


def test_counts_and_times_are_found_and_the_rest_is_left_out() -> None:
    assert 5 == len(counters_in(PAGE))
    assert 1e6 == counters_in(PAGE)["queue_duration_us", '{model="digits",version="1"}']


def test_the_load_is_what_happened_between_reads() -> None:
    before, after = page(requests=10, queue=0, infer=0), page(requests=30, queue=4_000_000, infer=1_000_000)

    assert InferenceLoad(requests_per_second=10.0, queue_seconds=0.2, compute_seconds=0.05) == loaded(before, after)


def test_one_read_says_nothing_yet() -> None:
    assert loaded(PAGE) is None


def test_a_page_of_something_else_says_nothing() -> None:
    assert {} == counters_in("# HELP up\nup 1\n")
    assert {} == counters_in('nv_inference_request_success{model="digits"} many\n')


def test_a_triton_without_requests_is_idle_and_not_saturated() -> None:
    idle = loaded(PAGE, PAGE)

    assert InferenceLoad(requests_per_second=0.0, queue_seconds=0.0, compute_seconds=0.0) == idle
    assert idle is not None
    assert not idle.is_saturated


def test_a_triton_that_restarted_counts_from_zero() -> None:
    before, after = (
        page(requests=1000, queue=9_000_000, infer=9_000_000),
        page(requests=4, queue=400_000, infer=200_000),
    )

    assert InferenceLoad(requests_per_second=2.0, queue_seconds=0.1, compute_seconds=0.05) == loaded(before, after)


def test_all_models_and_all_servers_count_together() -> None:
    two = page(requests=10, queue=0, infer=1_000_000) + page(requests=10, queue=3_000_000, infer=0, model="faces")
    spell = spell_between({}, counters_in(two), until=10.0, seconds=10.0)

    assert InferenceLoad(requests_per_second=4.0, queue_seconds=0.15, compute_seconds=0.05) == load([[spell], [spell]])


def test_what_happened_long_ago_is_forgotten() -> None:
    server = Server()
    for now, requests in ((0.0, 0), (2.0, 1000), (20.0, 1010)):
        server.take_in(counters_in(page(requests=requests, queue=0, infer=0)), now=now)

    assert [10] == [spell.requests for spell in server.spells_since(10.0)]
