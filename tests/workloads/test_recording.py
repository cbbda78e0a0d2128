"""Real recordings: read right, or refused with a sentence before anything is computed."""

from __future__ import annotations

import hashlib
import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from flyback.errors import MissingExtraError, UserError
from flyback.workloads import registry
from flyback.workloads.spectral import loading
from flyback.workloads.spectral.loading import load
from flyback.workloads.spectral.recording import inspect, suits

TONE = (0.5 * np.sin(np.arange(2000) * 0.1)).astype("float32")
STEREO = np.stack([TONE, -TONE / 2], axis=1)  # (samples, channels)


def wav(path: Path, data: Any = STEREO, subtype: str = "FLOAT", **more: Any) -> Path:
    """A WAV file at 48 kHz."""
    soundfile.write(path, data, 48_000, subtype=subtype, **more)
    return path


def npy(path: Path, data: Any = STEREO) -> Path:
    """An .npy file."""
    np.save(path, data)
    return path


def sigmf(path: Path, data: Any = STEREO, datatype: str = "rf32_le", **more: Any) -> Path:
    """Both files of a SigMF recording; its metadata file."""
    raw = np.ascontiguousarray(data).tobytes()
    path.with_suffix(".sigmf-data").write_bytes(raw)
    fields = {
        "core:datatype": datatype,
        "core:version": "1.2.0",
        "core:sample_rate": 48_000,
        "core:num_channels": data.shape[1] if data.ndim > 1 else 1,
        "core:sha512": hashlib.sha512(raw).hexdigest(),
        **more,
    }
    kept = {key: value for key, value in fields.items() if value is not None}
    document = {"global": kept, "captures": [{"core:sample_start": 0}], "annotations": []}
    path.write_text(json.dumps(document))
    return path


def cut(path: Path, size: int) -> Path:
    """The file without its end."""
    path.write_bytes(path.read_bytes()[:size])
    return path


FORMATS: dict[str, Callable[[Path], Path]] = {
    "wav": lambda folder: wav(folder / "a.wav"),
    "npy": lambda folder: npy(folder / "a.npy"),
    "sigmf": lambda folder: sigmf(folder / "a.sigmf-meta"),
    "flac": lambda folder: wav(folder / "a.flac", subtype="PCM_24"),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_format_gives_the_same_samples(form: str, dtype: str, weird_tmp_path: Path) -> None:
    """Channels first, in the element type asked for, values as recorded, rate as written."""
    path = FORMATS[form](weird_tmp_path)
    loaded = load(inspect(path), dtype)
    assert loaded.samples.dtype == dtype
    assert loaded.samples.flags.c_contiguous
    np.testing.assert_allclose(loaded.samples, STEREO.T, atol=2e-7 if form == "flac" else 0)
    assert loaded.fs_hz == (None if form == "npy" else 48_000)
    data = path.with_suffix(".sigmf-data") if form == "sigmf" else path
    assert loaded.sha256 == hashlib.sha256(data.read_bytes()).hexdigest()


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "PCM_U8", "DOUBLE", "ULAW"])
@pytest.mark.parametrize("form", ["WAV", "WAVEX", "RF64"])
def test_the_header_is_read_as_libsndfile_reads_it(form: str, subtype: str, tmp_path: Path) -> None:
    """Rate, channels and length from our own look at the header agree with the library's."""
    path = wav(tmp_path / "a.wav", subtype=subtype, format=form)
    found, theirs = inspect(path), soundfile.info(path)
    assert (found.channels, found.samples) == (theirs.channels, theirs.frames) == (2, 2000)
    assert found.fs_hz == theirs.samplerate == 48_000
    np.testing.assert_allclose(load(found, "float32").samples, STEREO.T, atol=0.02)


@pytest.mark.parametrize("layout", ["<i2", ">i2", "<i4", ">i4", "|i1"])
def test_whole_numbers_are_scaled_to_one(layout: str, tmp_path: Path) -> None:
    """Full scale is -1, as libsndfile does it, in .npy and in SigMF alike, either byte order."""
    kind = np.dtype(layout)
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    data = np.array([low, 0, high // 2 + 1] * 100, kind)
    bits, order = 8 * kind.itemsize, {"<": "_le", ">": "_be", "|": ""}[layout[0]]
    paths = [
        npy(tmp_path / "a.npy", data),
        sigmf(tmp_path / "a.sigmf-meta", data, f"ri{bits}{order}"),
    ]
    for path in paths:
        samples = load(inspect(path), "float64").samples
        np.testing.assert_array_equal(samples[0, :3], [-1, 0, 0.5])


def test_a_streamed_wav_without_a_length_is_read_to_its_end(tmp_path: Path) -> None:
    """A writer that could not seek back leaves 0xFFFFFFFF; that is no truncation."""
    path = wav(tmp_path / "a.wav", subtype="PCM_16")
    raw = bytearray(path.read_bytes())
    at = raw.index(b"data") + 4
    raw[at : at + 4] = b"\xff" * 4
    path.write_bytes(raw)
    assert inspect(path).samples == 2000


def broken_npy(header: str) -> bytes:
    """An .npy file with this header and a kilobyte of zeros."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(1024)


def nan(folder: Path) -> Path:
    """A recording with a sample that is not a number."""
    data = STEREO.copy()
    data[123, 1] = np.nan
    return npy(folder / "a.npy", data)


BAD: dict[str, tuple[Callable[[Path], Path], dict[str, Any], str]] = {
    "missing": (lambda f: f / "a.wav", {}, "does not exist\n  → a relative path starts at"),
    "folder": (lambda f: f, {}, "is a folder, not a recording"),
    "suffix": (lambda f: npy(f / "a.npy").rename(f / "a.mp4"), {}, "recordings of kind '.mp4'"),
    "short": (
        lambda f: wav(f / "a.wav", TONE[:100]),
        {},
        "has 100 samples per channel, too short for one frame of 1024",
    ),
    "empty": (lambda f: npy(f / "a.npy", TONE[:0]), {}, "has 0 samples per channel, too short"),
    "short-flac": (
        lambda f: wav(f / "a.flac", TONE[:100], "PCM_16"),
        {},
        "has 100 samples per channel, too short for one frame of 1024",
    ),
    "wav-truncated": (
        lambda f: cut(wav(f / "a.wav"), 9000),
        {},
        "is truncated: its header promises 16000 bytes of samples, ",
    ),
    "wav-header": (
        lambda f: cut(wav(f / "a.wav"), 30),
        {},
        "is truncated: it ends within its format chunk",
    ),
    "wav-no-data": (
        lambda f: cut(wav(f / "a.wav", subtype="PCM_16"), 38),
        {},
        "is truncated: it ends before its samples begin",
    ),
    "wav-not": (
        lambda f: npy(f / "a.npy").rename(f / "a.wav"),
        {},
        "is not a WAV file: it does not begin with RIFF … WAVE",
    ),
    "wav-channels": (
        lambda f: wav(f / "a.wav"),
        {"channels": 1},
        "has 2 channels, and the job asks for 1\n  → write channels=2, or leave channels out",
    ),
    "flac-channels": (
        lambda f: wav(f / "a.flac", TONE, "PCM_16"),
        {"channels": 4},
        "has 1 channel, and the job asks for 4",
    ),
    "flac-broken": (
        lambda f: cut(wav(f / "a.flac", subtype="PCM_16"), 20),
        {},
        "can't be read as sound",
    ),
    "rate": (
        lambda f: wav(f / "a.wav"),
        {"fs_hz": 44_100},
        "was sampled at 48000 Hz, and the job says fs_hz=44100\n  → leave fs_hz out",
    ),
    "npy-rate": (
        lambda f: npy(f / "a.npy"),
        {"fs_hz": None},
        "does not say its sampling rate\n  → add fs_hz=…, in Hz",
    ),
    "npy-truncated": (
        lambda f: cut(npy(f / "a.npy"), 8000),
        {},
        "is truncated: its header promises 16000 bytes of samples, 7872 are there",
    ),
    "npy-header": (lambda f: cut(npy(f / "a.npy"), 50), {}, "it ends within its header"),
    "npy-not": (lambda f: wav(f / "a.wav").rename(f / "a.npy"), {}, "is not an .npy file"),
    "npy-damaged": (
        lambda f: (f / "a.npy").write_bytes(broken_npy("{'descr': ")) and f / "a.npy",
        {},
        "has a damaged .npy header",
    ),
    "npy-transposed": (
        lambda f: npy(f / "a.npy", np.ascontiguousarray(STEREO.T)),
        {},
        "has 2 samples in 2000 channels\n  → an array is (samples, channels)",
    ),
    "npy-fortran": (lambda f: npy(f / "a.npy", np.asfortranarray(STEREO)), {}, "Fortran order"),
    "npy-cube": (lambda f: npy(f / "a.npy", np.zeros((9, 9, 9))), {}, "has 3 dimensions"),
    "npy-scalar": (lambda f: npy(f / "a.npy", np.float32(3)), {}, "has 0 dimensions"),
    "npy-complex": (
        lambda f: npy(f / "a.npy", TONE.astype("complex64")),
        {},
        "holds complex samples, and this workload takes real ones\n  → save array.real",
    ),
    "npy-objects": (
        lambda f: npy(f / "a.npy", np.array([{}] * 2000)),
        {},
        "holds elements of type '|O'",
    ),
    "npy-structured": (
        lambda f: npy(f / "a.npy", np.zeros(2000, [("a", "f4")])),
        {},
        "holds elements of type [('a', '<f4')]",
    ),
    "npy-nan": (nan, {}, "holds nan at sample 123 of channel 1"),
    "sigmf-no-data": (
        lambda f: (
            (sigmf(f / "a.sigmf-meta").with_suffix(".sigmf-data").unlink()) or f / "a.sigmf-meta"
        ),
        {},
        "has no samples: a.sigmf-data is not beside it",
    ),
    "sigmf-no-meta": (
        lambda f: sigmf(f / "a.sigmf-meta").rename(f / "b") and f / "a.sigmf-data",
        {},
        "has no metadata: a.sigmf-meta is not beside it",
    ),
    "sigmf-broken": (
        lambda f: cut(sigmf(f / "a.sigmf-meta"), 20),
        {},
        "a.sigmf-meta is no SigMF metadata",
    ),
    "sigmf-complex": (
        lambda f: sigmf(f / "a.sigmf-meta", datatype="cf32_le"),
        {},
        "holds complex samples (cf32_le), and this workload takes real ones",
    ),
    "sigmf-datatype": (
        lambda f: sigmf(f / "a.sigmf-meta", datatype="rf99"),
        {},
        "has the unknown datatype 'rf99'",
    ),
    "sigmf-order": (
        lambda f: sigmf(f / "a.sigmf-meta", datatype="ri16"),
        {},
        "without or with a wrong byte order",
    ),
    "sigmf-unsigned": (
        lambda f: sigmf(f / "a.sigmf-meta", datatype="ru8"),
        {},
        "holds samples of type ru8, which is not read",
    ),
    "sigmf-channels": (
        lambda f: sigmf(f / "a.sigmf-meta", **{"core:num_channels": 0}),
        {},
        "core:num_channels is 0, and must be a number greater than 0",
    ),
    "sigmf-header-bytes": (
        lambda f: sigmf(f / "a.sigmf-meta", **{"core:trailing_bytes": 8}),
        {},
        "has bytes between its samples",
    ),
    "sigmf-truncated": (
        lambda f: (
            cut(sigmf(f / "a.sigmf-meta").with_suffix(".sigmf-data"), 8001) and f / "a.sigmf-meta"
        ),
        {},
        "is truncated: a.sigmf-data has 8001 bytes, no whole number of 8-byte samples",
    ),
    "sigmf-checksum": (
        lambda f: (
            cut(sigmf(f / "a.sigmf-meta").with_suffix(".sigmf-data"), 12_000) and f / "a.sigmf-meta"
        ),
        {},
        "does not have the SHA-512 that its metadata give",
    ),
}


def use(path: Path, asked: dict[str, Any]) -> None:
    """All that happens to a recording before the first frame."""
    fs_hz = asked.get("fs_hz", 48_000)
    found = inspect(path)
    suits(found, 1024, asked.get("channels"), fs_hz)
    loaded = load(found, "float32")
    channels, samples = loaded.samples.shape
    known = type(found)(path=path, format="known", channels=channels, samples=samples)
    suits(known, 1024, asked.get("channels"), fs_hz)


@pytest.mark.parametrize("case", BAD)
def test_an_unusable_recording_gets_its_sentence(case: str, tmp_path: Path) -> None:
    """It names the file, says what is wrong with it, and ends with exit code 2."""
    make, asked, sentence = BAD[case]
    path = make(tmp_path)
    with pytest.raises(UserError) as caught:
        use(path, asked)
    assert str(caught.value).startswith(f"recording {path}: ")
    assert sentence in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("case", ["missing", "short", "wav-truncated", "wav-channels", "npy-rate"])
def test_the_same_sentence_comes_before_anything_is_launched(case: str, tmp_path: Path) -> None:
    """The job-file checker sees it on the user's machine, under the path that the job names."""
    make, asked, sentence = BAD[case]
    values = {"nfft": 1024, "recording": "data/in", **asked}
    with pytest.raises(UserError) as caught:
        registry.check_files("spectral", values, {"data/in": make(tmp_path)}.__getitem__)
    assert sentence in str(caught.value)


def test_files_that_are_elsewhere_are_left_alone(tmp_path: Path) -> None:
    """A recording that only the machine will see can't be looked at here; a good one passes."""
    registry.check_files("spectral", {"recording": "on-s3.wav"}, lambda _: None)
    registry.check_files("spectral", {}, {}.__getitem__)
    here = {"a.wav": wav(tmp_path / "b.wav")}
    registry.check_files("spectral", {"recording": "a.wav", "nfft": 1024}, here.__getitem__)


def test_a_recording_that_nothing_brings_is_refused() -> None:
    """The machine would not find it: said before it is paid for."""
    with pytest.raises(UserError, match=r"recording sea\.wav: no input and no file of the workdir"):
        registry.check_files("spectral", {"recording": "sea.wav"}, {}.__getitem__)


def test_without_soundfile_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not a traceback."""
    path = wav(tmp_path / "a.wav")
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'flyback\[bench\]'"):
        load(inspect(path), "float32")


def test_a_file_that_shrinks_while_it_is_read_is_truncated(tmp_path: Path) -> None:
    """The number of samples read is held against the header once more."""
    path = npy(tmp_path / "a.npy")
    found = inspect(path)
    cut(path, 8000)
    with pytest.raises(UserError, match="is truncated"):
        loading.load(found, "float32")


def test_a_wav_with_more_chunks_is_read(tmp_path: Path) -> None:
    """Unknown chunks before the samples, of odd length too, are passed over."""
    buffer = io.BytesIO()
    soundfile.write(buffer, STEREO, 48_000, "PCM_16", format="WAV")
    raw = buffer.getvalue()
    at = raw.index(b"data")
    path = tmp_path / "a.wav"
    path.write_bytes(raw[:at] + b"note" + struct.pack("<I", 3) + b"abc\0" + raw[at:])
    assert inspect(path).samples == 2000
