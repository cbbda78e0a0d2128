"""The kernels compile for every architecture that flyback rents, without a GPU."""

from __future__ import annotations

import importlib.resources

import pytest

pytestmark = pytest.mark.extended  # NVRTC is 60 MB


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100"])
def test_the_kernels_compile_for(arch: str) -> None:
    """T4 to B200: every kernel is there, with and without magnitude, at the longest frame."""
    from cuda.core import Program, ProgramOptions

    package = "flyback.workloads.spectral.cuda"
    source = importlib.resources.files(package).joinpath("spectrum.cu").read_text()
    for nfft, complex_output in ((64, 0), (4096, 0), (8192, 1)):
        macros = [("NFFT", nfft), ("THREADS", 256), ("COMPLEX_OUTPUT", complex_output)]
        options = ProgramOptions(arch=arch, define_macro=[(k, str(v)) for k, v in macros])
        code = Program(source, "c++", options).compile("cubin").code
        for name in (b"spectrum", b"weigh", b"magnitude"):
            assert b".text." + name + b"\0" in code
