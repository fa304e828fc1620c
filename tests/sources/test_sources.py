"""Sources: what a person may name, and the frames that come from it."""

from __future__ import annotations

import io
import json
import random
import resource
import shutil
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import cv2
import msgspec
import numpy as np
import pytest

from edgevit.common.errors import InputError
from edgevit.common.installation.install_command import install_command
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.images.jpeg import EndFinder, size_px
from edgevit_runtimes.sources.capture_request import CaptureRequest, Orientation
from edgevit_runtimes.sources.frame import Source, SourceLostError, UnreadableFrameError
from edgevit_runtimes.sources.jpeg_stream import JpegSource, JpegSplitter
from edgevit_runtimes.sources.open_source import open_source
from edgevit_runtimes.sources.opencv_source import (
    OpenCvSource,
    _check_device,
    csi_pipeline,
    with_sink,
)
from edgevit_runtimes.sources.source_address import Address, Kind, parse, without_credentials
from support import ROOT, Command, begin, environment, not_root, python
from support.cameras import (
    CLIP_FRAMES,
    free_port,
    jpeg,
    mjpeg_camera,
    plain,
    rtsp_camera,
    write_clip,
)
from support.needs import NO_GSTREAMER, SYSTEM_PYTHON, needs_gstreamer_opencv, needs_rtsp_server

NOTHING_ASKED = CaptureRequest()


def opened(*texts: object, stall_s: float = 5.0) -> Source:
    return open_source(parse([str(text) for text in texts]), NOTHING_ASKED, stall_s)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def frames_of(source: Source) -> list[Image]:
    """All of a source that ends."""
    frames = []
    while source.grab():
        frames.append(source.retrieve()())
    source.close()
    return frames


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0", Kind.WEBCAM),
        ("/dev/video12", Kind.WEBCAM),
        ("rtsp://10.0.0.5/stream", Kind.NETWORK),
        ("HTTP://10.0.0.5:81/video.mjpg", Kind.HTTP),
        ("csi://1", Kind.CSI),
        ("v4l2src device=/dev/video0 ! videoconvert ! appsink", Kind.PIPELINE),
        ("-", Kind.STDIN),
    ],
)
def test_what_a_text_names(text: str, kind: Kind) -> None:
    assert parse([text]).kind is kind


def test_files_are_told_by_what_is_in_them(
    clip: Path, photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parse([str(clip)]).kind is Kind.VIDEO
    assert len(parse([str(photo_folder)]).files) == 4
    assert [f.name for f in parse([f"{photo_folder}/*[02].png"]).files] == [
        "photo0.png",
        "photo2.png",
    ]
    nameless = shutil.copy(photo_folder / "photo0.png", tmp_path / "nameless")
    assert parse([str(nameless)]).kind is Kind.PICTURES
    monkeypatch.chdir(tmp_path)
    shutil.copytree(photo_folder, tmp_path / "2024")
    assert parse(["2024"]).kind is Kind.PICTURES, "a folder, not a webcam"
    shutil.copy(clip, tmp_path / "a ! b.mkv")
    assert parse(["a ! b.mkv"]).kind is Kind.VIDEO, "a file, not a pipeline"
    both = parse([str(photo_folder / "photo1.png"), str(photo_folder)])
    assert len(both.files) == 5


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["nowhere.mp4"], "No such image or video"),
        (["*.png"], "No image matches"),
        ([""], "empty name"),
        (["rtsp:/bob:s3cret@10.0.0.5/x"], r"No such image or video: rtsp:/\*\*\*@10.0.0.5/x"),
        (["rtsp:bob:s3cret@10.0.0.5/x.jpg"], r"No such image or video: \*\*\*@10.0.0.5/x"),
        (["csi://bob:s3cret@0"], "csi://0"),
        (["gopher://x/y"], "gopher:// are not read|'gopher://'"),
        (["rtsp://"], "no usable host"),
        (["rtsp://host:99999/x"], "no usable host"),
        (["csi://front"], "csi://0"),
        (["0", "1"], "once for every camera"),
        (["notes.json"], "notes.json holds text, no picture or video"),
        (["notes.json", "notes.json"], "a bundle, which is a folder, goes before it"),
        (["clips"], "clips holds no image, but videos.* give the file itself: clips/a.MP4"),
        (["9999"], "No such camera: /dev/video9999. Cameras on this machine:"),
    ],
)
def test_bad_names(
    texts: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.json").write_text("{}\n")
    Path("clips").mkdir()
    Path("clips/a.MP4").touch()
    with pytest.raises(InputError, match=message) as error:
        opened(*texts)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://admin:s3cret@10.0.0.5:554/live", "rtsp://10.0.0.5:554/live"),
        ("http://cam/video.mjpg?user=admin&pwd=s3cret", "http://cam/video.mjpg"),
        ("rtsp://admin:s3/cret@10.0.0.5/live", "rtsp://10.0.0.5/live"),
        ("rtsp://admin:s3@cret@10.0.0.5/live", "rtsp://10.0.0.5/live"),
        ("rtsp://10.0.0.5?token=s3cret", "rtsp://10.0.0.5"),
        ("rtsp://10.0.0.5/user=admin&password=s3cret&channel=1", "channel=1"),
        ("rtsp://admin:s3cret@[fe80::1]:554/live", "rtsp://[fe80::1]:554/live"),
        ("photo.jpg", "photo.jpg"),
        ("photo@2x.jpg", "photo@2x.jpg"),
        ("rtsp:/admin:s3cret@10.0.0.5/live", "rtsp:/***@10.0.0.5/live"),
    ],
)
def test_names_hold_no_credentials(address: str, shown: str) -> None:
    name = without_credentials(address)
    assert shown in name
    for secret in ("s3", "cret", "admin"):
        assert secret not in name


def test_a_pipelines_name_is_its_elements() -> None:
    text = "rtspsrc location=rtsp://a:s3cret@h/x user-pw=s3cret ! rtph264depay ! avdec_h264"
    assert parse([text]).name == "rtspsrc ! rtph264depay ! avdec_h264"


def test_pictures_come_as_they_are(photo_folder: Path, photos: list[Image]) -> None:
    for got, photo in zip(frames_of(opened(photo_folder)), photos, strict=True):
        np.testing.assert_array_equal(got, photo)


def test_a_video_comes_frame_by_frame(clip: Path) -> None:
    source = opened(clip)
    assert (source.live, source.fps, source.expected) == (False, 30, CLIP_FRAMES)
    capture = cv2.VideoCapture(str(clip))
    for got in frames_of(source):
        np.testing.assert_array_equal(got, cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB))
    assert not capture.grab()


@pytest.mark.parametrize("kept", [100, 3000])
def test_what_is_no_video(kept: int, clip: Path, tmp_path: Path) -> None:
    """Cut off before its index, an MP4 cannot be read at all."""
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"codec that it lacks\. Convert it: ffmpeg -i cut\.mp4"):
        opened(cut)


@pytest.mark.parametrize(
    ("rotate", "mirror", "expected"),
    [
        (0, False, [[1, 2], [3, 4]]),
        (90, False, [[3, 1], [4, 2]]),
        (180, False, [[4, 3], [2, 1]]),
        (270, False, [[2, 4], [1, 3]]),
        (0, True, [[2, 1], [4, 3]]),
        (90, True, [[1, 3], [2, 4]]),
    ],
)
def test_rotation_and_mirror(rotate: int, mirror: bool, expected: list[list[int]]) -> None:
    picture = np.repeat(np.array([[1, 2], [3, 4]], np.uint8)[..., None], 3, axis=2)
    turned = Orientation(rotate, mirror).apply(picture)
    assert turned[..., 0].tolist() == expected


class TestJpegs:
    """JPEGs in a stream of bytes."""

    def split(self, data: bytes, seed: int = 0) -> list[bytes]:
        """Read in pieces of random sizes."""
        stream, sizes = io.BytesIO(data), random.Random(seed)
        splitter = JpegSplitter(lambda: stream.read(sizes.choice([1, 3, 700, 5000])))
        found = []
        while (one := splitter.next()) is not None:
            found.append(one)
        return found

    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize(
        "between", [b"", b"\r\n--frame\r\nContent-Length: 12\r\n\r\n", b"\xff"]
    )
    def test_are_found_whatever_is_between(
        self, between: bytes, seed: int, photos: list[Image]
    ) -> None:
        jpegs = [jpeg(photo) for photo in photos[:3]]
        stream = between + between.join(jpegs) + between
        assert self.split(stream, seed) == jpegs

    def test_a_thumbnail_is_part_of_its_picture(self, photos: list[Image]) -> None:
        thumbnail, whole = jpeg(plain((9, 9, 9))), jpeg(photos[0])
        segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
        with_thumbnail = whole[:2] + segment + whole[2:]
        assert self.split(with_thumbnail + whole) == [with_thumbnail, whole]

    def test_a_cut_one_does_not_take_the_next_with_it(self, photos: list[Image]) -> None:
        one, two = jpeg(photos[0]), jpeg(photos[1])
        cut = one[: len(one) // 2]
        assert self.split(cut + two) == [cut, two]
        assert self.split(two + cut) == [two, cut]

    @pytest.mark.parametrize("claimed", [14_000, 65_535])
    def test_a_few_bytes_that_claim_a_huge_picture(self, claimed: int, tmp_path: Path) -> None:
        """They took 2.5 GiB. What the header says is looked at before anything is decoded."""
        small = jpeg(plain((9, 9, 9)))
        place = small.index(b"\xff\xc0") + 5
        huge = small[:place] + 2 * claimed.to_bytes(2, "big") + small[place + 4 :]
        assert size_px(huge) == (claimed, claimed)
        parts = iter([huge, small])
        source = JpegSource("camera", True, True, lambda: next(parts, b""), lambda: None)
        assert source.grab()
        before = peak_mib()
        with pytest.raises(UnreadableFrameError, match=f"{claimed} x {claimed} pixels; of a str"):
            source.retrieve()()
        assert peak_mib() - before < 100
        assert source.grab()
        assert source.retrieve()().shape == (48, 64, 3)

    @pytest.mark.parametrize("options", [[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]])
    def test_the_size_that_a_header_says(self, options: list[int]) -> None:
        coded = cv2.imencode(".jpg", np.zeros((30, 70, 3), np.uint8), options)[1].tobytes()
        assert size_px(coded) == (70, 30)
        assert size_px(coded[:10]) is None
        assert size_px(coded[:2] + b"\xff\xda\x00\x02") is None

    def test_a_damaged_one_does_not_hide_those_behind_it(self, photos: list[Image]) -> None:
        """A byte that is wrong looked like a segment, and up to 64 KiB were skipped."""
        small, large = jpeg(plain((9, 9, 9))), jpeg(photos[0])
        middle = len(large) // 2
        damaged = large[:middle] + b"\xff\x11\xf0\x00" + large[middle + 4 :]
        stream = [damaged, *[small] * 20, large]
        assert self.split(b"".join(stream)) == stream

    def test_a_progressive_one_is_whole(self, photos: list[Image]) -> None:
        """It has tables between its scans."""
        options = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
        one = cv2.imencode(".jpg", photos[0], options)[1].tobytes()
        assert one.count(b"\xff\xda") > 3
        assert self.split(one + one) == [one, one]

    def test_one_that_never_ends_is_given_up(self) -> None:
        chunks = iter([jpeg(plain((0, 0, 0)))[:-2]])
        splitter = JpegSplitter(lambda: next(chunks, bytes(9_000_000)))
        with pytest.raises(SourceLostError, match="64 MiB"):
            splitter.next()

    @pytest.mark.parametrize(
        ("head", "repeated"),
        [(b"", b"\xff\xe0\x00\x02"), (b"\xff\xda\x00\x02", b"\xff\xd0")],
    )
    def test_what_was_looked_at_is_not_looked_at_again(self, head: bytes, repeated: bytes) -> None:
        """Endless markers would take hours, were every chunk to start from the first byte."""
        endless = b"\xff\xd8" + head + 1000 * repeated
        finder = EndFinder()
        assert finder.find(endless) is None
        overwritten = len(endless) // 2 * b"\xff\xd9"
        assert finder.find(overwritten) is None
        assert finder.find(overwritten + b"\xff") is None
        assert finder.find(overwritten + b"\xff\xd9") == (len(endless) + 2, True)


def test_standard_input_is_read_to_its_end(tmp_path: Path, photos: list[Image]) -> None:
    """All frames of a file, with one that is damaged counted."""
    good = [jpeg(photo) for photo in photos]
    stream = tmp_path / "frames.mjpeg"
    stream.write_bytes(good[0] + good[1][:5000] + good[2] + good[3])
    with stream.open("rb") as file, begin("run", "-", "--json", stdin=file) as run:
        out, err = run.communicate()
    assert run.returncode == 0, err
    frames = json.loads(out)["frames"]
    assert (frames["captured"], frames["answered"], frames["unreadable"]) == (4, 3, 1)
    assert "truncated JPEG" in err


@pytest.mark.parametrize("given", [b"", b"no picture at all" * 1000])
def test_standard_input_without_a_picture(given: bytes) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "edgevit", "run", "-"],
        input=given,
        capture_output=True,
        check=False,
        env=environment(),
    )
    assert ended.returncode == 2
    assert ended.stderr.decode().strip() == "error: standard input ended before its first frame."


@pytest.fixture(scope="module")
def camera(clip: Path) -> object:
    port = free_port()
    with mjpeg_camera(clip, port, "--fps", 100, "--password", "me:s3cret"):
        yield f"127.0.0.1:{port}/video.mjpg"


def test_mjpeg_over_http_with_a_password(camera: str) -> None:
    source = opened(f"http://me:s3cret@{camera}")
    assert source.live
    for _ in range(3):
        assert source.grab()
        assert source.retrieve()().shape == (240, 320, 3)
    source.close()


@pytest.mark.parametrize(
    ("user", "message"), [("", "Give user and password"), ("me:wr0ng@", "given are refused")]
)
def test_a_wrong_password_is_not_repeated(user: str, message: str, camera: str) -> None:
    with pytest.raises(InputError, match=rf"status 401\. .*{message}") as error:
        opened(f"http://{user}{camera}?pwd=wr0ng")
    assert "wr0ng" not in str(error.value)


@pytest.mark.parametrize(
    "question", ["Bearer", "Digest", 'Digest realm="x", nonce="y", algorithm=UNHEARD-OF']
)
def test_authentication_that_is_not_supported(question: str) -> None:
    class Asking(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", question)
            self.end_headers()

        def log_message(self, *arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Asking) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(InputError, match="not supported; basic and digest are"):
            opened(f"http://me:s3cret@127.0.0.1:{server.server_port}/")
        server.shutdown()


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_nobody_answers(scheme: str) -> None:
    with pytest.raises(InputError, match=r"Cannot (connect|open)") as error:
        opened(f"{scheme}://me:s3cret@127.0.0.1:{free_port()}/x?key=s3cret")
    assert "s3cret" not in str(error.value)


def test_a_video_over_http_is_read_by_ffmpeg(tmp_path: Path, photos: list[Image]) -> None:
    write_clip(tmp_path / "clip.avi", photos[0], frames=10)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        source = opened(f"http://127.0.0.1:{server.server_port}/clip.avi")
        assert source.grab()
        assert source.retrieve()().shape == (240, 320, 3)
        source.close()
        server.shutdown()


def test_a_stream_that_stalls_is_lost() -> None:
    """Headers, and then nothing."""
    from socketserver import StreamRequestHandler, ThreadingTCPServer
    from time import sleep

    class Stalling(StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            head = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace\r\n\r\n"
            self.wfile.write(head + jpeg(plain((1, 2, 3))))
            sleep(1.5)

    with ThreadingTCPServer(("127.0.0.1", 0), Stalling) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        source = opened(f"http://127.0.0.1:{server.server_address[1]}/", stall_s=0.3)
        assert source.grab()
        with pytest.raises(SourceLostError, match="nothing came"):
            source.grab()
        server.shutdown()


@needs_rtsp_server
def test_rtsp_with_a_password(tmp_path: Path) -> None:
    for i in range(10):
        (tmp_path / f"{i:05d}.jpg").write_bytes(jpeg(plain((200, 30, 30), (160, 120))))
    port = free_port()
    with rtsp_camera(tmp_path, port, "--password", "me:s3cret"):
        source = opened(f"rtsp://me:s3cret@127.0.0.1:{port}/camera")
        assert source.grab()
        picture = source.retrieve()()
        source.close()
        with pytest.raises(InputError, match="user or password"):
            opened(f"rtsp://127.0.0.1:{port}/camera")
    assert picture.shape == (120, 160, 3)
    assert np.abs(picture.mean((0, 1)) - (200, 30, 30)).max() < 12, "RGB, not BGR"


class FakeCapture:
    """Stands for a ``cv2.VideoCapture`` of a webcam that no test machine has."""

    def __init__(self, picture: object) -> None:
        self.picture = picture

    def get(self, what: int) -> float:
        return 0.0 * what

    def grab(self) -> bool:
        return self.picture is not None

    def retrieve(self) -> tuple[bool, object]:
        return self.picture is not None, self.picture

    def release(self) -> None: ...


def test_an_empty_frame_is_unreadable() -> None:
    source = OpenCvSource(FakeCapture(np.zeros((0, 0, 3), np.uint8)), "cam", live=True)
    assert source.grab()
    with pytest.raises(UnreadableFrameError, match="empty"):
        source.retrieve()()


def test_a_grey_frame_becomes_rgb() -> None:
    source = OpenCvSource(FakeCapture(np.full((2, 3), 7, np.uint8)), "cam", live=True)
    assert source.retrieve()().tolist() == np.full((2, 3, 3), 7).tolist()


def test_a_live_capture_that_ends_is_lost() -> None:
    source = OpenCvSource(FakeCapture(None), "cam", live=True)
    with pytest.raises(SourceLostError):
        source.grab()


def test_no_permission_names_the_group(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.touch(mode=0o000)
    with not_root(), pytest.raises(InputError, match="usermod -aG video"):
        _check_device(device)


@pytest.mark.only_if(NO_GSTREAMER)
@pytest.mark.parametrize("text", ["csi://0", "videotestsrc ! videoconvert"])
def test_gstreamer_is_missing_here(text: str) -> None:
    with pytest.raises(InputError, match="sudo apt install python3-opencv"):
        opened(text)


def test_the_pipeline_of_a_csi_camera() -> None:
    """As Jetsons read it; no Jetson was at hand to run it."""
    address = Address(Kind.CSI, "csi://1")
    text = csi_pipeline(address, CaptureRequest(size_px=(1920, 1080), fps=60))
    assert text.startswith("nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),width=1920,")
    assert "height=1080,format=NV12,framerate=60/1" in text
    assert text.endswith("appsink drop=true max-buffers=1 sync=false")


def test_a_pipeline_keeps_its_own_sink() -> None:
    assert with_sink("a ! appsink name=x") == "a ! appsink name=x"
    assert with_sink("a ! b").startswith("a ! b ! videoconvert ! video/x-raw,format=BGR ! appsink")


@needs_gstreamer_opencv
def test_a_gstreamer_pipeline_in_the_systems_opencv(tmp_path: Path) -> None:
    """A real pipeline in a real OpenCV with GStreamer; and one that GStreamer refuses.

    The system's Python is lent our msgspec, with which edgevit is installed anywhere else.
    """
    (tmp_path / "msgspec").symlink_to(Path(msgspec.__file__).parent)
    code = """
import json
from edgevit.common.errors import InputError
from edgevit_runtimes.sources.source_address import parse
from edgevit_runtimes.sources.open_source import open_source
from edgevit_runtimes.sources.capture_request import CaptureRequest
red = "videotestsrc pattern=red ! video/x-raw,width=64,height=48,framerate=30/1"
source = open_source(parse([red]), CaptureRequest())
assert source.grab() and source.grab()
picture = source.retrieve()()
source.close()
try:
    open_source(parse(["nosuchelement ! appsink"]), CaptureRequest())
except InputError as error:
    message = str(error)
print(json.dumps([picture.shape, picture[0, 0].tolist(), source.live, message]))
"""
    ended = subprocess.run(
        [SYSTEM_PYTHON, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'runtimes'}:{tmp_path}", "PATH": "/usr/bin:/bin"},
    )
    assert ended.returncode == 0, ended.stderr
    shape, colour, live, message = json.loads(ended.stdout)
    assert shape == [48, 64, 3]
    assert colour[0] > 230
    assert max(colour[1:]) < 25
    assert live
    assert "GStreamer cannot start nosuchelement ! appsink" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "1280x720"], "--size is asked of a webcam"),
        (["--size", "big"], "WIDTHxHEIGHT"),
        (["--size", "0x0"], "sides are 1 to"),
        (["--pixel-format", "MJPG"], "--pixel-format is asked of a webcam"),
        (["--pixel-format", "MOTIONJPEG"], "four characters"),
        (["--rotate", "45"], "0, 90, 180 or 270"),
        (["--fps", "0"], "--fps must be above 0"),
        (["--fps", "nan"], "--fps must be above 0"),
    ],
)
def test_bad_requests(options: list[str], message: str, clip: Path, edgevit: Command) -> None:
    ended = edgevit("run", clip, *options)
    assert ended.code == 2
    assert message in ended.one_message


def test_a_picture_is_turned_before_it_is_answered(
    tmp_path: Path, photo_folder: Path, edgevit: Command
) -> None:
    target = tmp_path / "turned.png"
    source = photo_folder / "photo2.png"
    assert edgevit("run", source, "--rotate", 90, "--output", target).code == 0
    assert image_io.read(target).shape == image_io.read(source).transpose(1, 0, 2).shape


def test_the_page_and_the_video_name_their_extras(clip: Path) -> None:
    for option, module, extra in (
        ("--serve 127.0.0.1:0", "aiohttp", "serve"),
        ("--output x.mp4", "av", "video"),
    ):
        code = f"""
import sys
import edgevit.common.libraries as libraries
found = libraries.find_spec
libraries.find_spec = lambda name, *a: None if name == {module!r} else found(name, *a)
from edgevit.cli import main
sys.argv = ["edgevit", "run", {str(clip)!r}, *{option.split()!r}]
main()
"""
        ended = python("-c", code)
        assert ended.code == 2
        assert install_command(extra) in ended.one_message
