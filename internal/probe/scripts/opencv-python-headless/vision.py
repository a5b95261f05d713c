"""OpenCV filters, warps, finds contours and features, and reads and writes its formats of pictures, films and data, with the cascades that older versions carry."""
import importlib.metadata
import os
import tempfile

import cv2
import numpy as np


def check(ok, what):
    if not ok:
        raise SystemExit("opencv: " + what)


check(importlib.metadata.version("opencv-python-headless").startswith(cv2.__version__), "metadata and module disagree on the version")
image = np.zeros((120, 160, 3), np.uint8)
cv2.circle(image, (80, 60), 30, (255, 255, 255), -1)
cv2.putText(image, "layer", (5, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 255), 1)
grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
for kind, limit in ((".png", 0), (".bmp", 0), (".webp", 9), (".jpg", 9), (".tiff", 0), (".jp2", 9)):
    ok, coded = cv2.imencode(kind, image)
    check(ok and np.abs(cv2.imdecode(coded, cv2.IMREAD_COLOR).astype(int) - image).mean() <= limit, kind)
contours, _ = cv2.findContours(cv2.threshold(grey, 200, 255, cv2.THRESH_BINARY)[1], cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
check(len(contours) == 1 and abs(cv2.contourArea(contours[0]) / (np.pi * 900) - 1) < 0.05, "contours")
circles = cv2.HoughCircles(cv2.GaussianBlur(grey, (5, 5), 2), cv2.HOUGH_GRADIENT, 1, 100, param1=100, param2=20, minRadius=20, maxRadius=40)
check(circles is not None and np.allclose(circles[0, 0, :2], (80, 60), atol=3), "circles")
check(cv2.Canny(grey, 50, 150).any() and cv2.resize(image, (80, 60), interpolation=cv2.INTER_AREA).shape == (60, 80, 3) and cv2.bilateralFilter(grey, 5, 9, 9).shape == grey.shape, "filters")
turned = cv2.warpAffine(grey, cv2.getRotationMatrix2D((80, 60), 45, 1), (160, 120))
check(abs(int(turned[60, 80]) - 255) < 2 and np.allclose(cv2.invert(np.eye(3) * 2)[1], np.eye(3) / 2) and cv2.dft(np.ones((4, 4), np.float32))[0, 0] == 16, "geometry")
points, descriptors = cv2.ORB_create().detectAndCompute(cv2.resize(image, None, fx=4, fy=4), None)
check(len(points) > 5 and len(cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(descriptors, descriptors)) > len(points) / 2, "features")
noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
check(abs(cv2.matchTemplate(noise, noise[10:20, 20:30], cv2.TM_CCOEFF_NORMED)[10, 20] - 1) < 1e-3, "template")
centres = cv2.kmeans(np.float32([[0], [1], [9], [10]]), 2, None, (cv2.TERM_CRITERIA_MAX_ITER, 10, 0), 3, cv2.KMEANS_PP_CENTERS)[2]
check(sorted(centres.ravel().tolist()) == [0.5, 9.5], "k-means")
if hasattr(cv2, "CascadeClassifier"):  # version 5 has none, and no data of theirs
    names = [n for n in os.listdir(cv2.data.haarcascades) if n.endswith(".xml")]
    check("haarcascade_frontalface_default.xml" in names and len(names) > 10, "cascades are missing")
    for name in names:
        check(not cv2.CascadeClassifier(cv2.data.haarcascades + name).empty(), name)
    cv2.CascadeClassifier(cv2.data.haarcascades + names[0]).detectMultiScale(grey)
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "x.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 5, (160, 120))
    for n in range(5):
        writer.write(np.roll(image, n, 1))
    writer.release()
    video = cv2.VideoCapture(path)
    check(video.isOpened() and video.read()[0] and video.get(cv2.CAP_PROP_FRAME_COUNT) == 5, "video")
    video.release()
    store = os.path.join(folder, "x.yml")
    file = cv2.FileStorage(store, cv2.FILE_STORAGE_WRITE)
    file.write("m", np.eye(2))
    file.release()
    file = cv2.FileStorage(store, cv2.FILE_STORAGE_READ)
    check(file.getNode("m").mat().tolist() == [[1, 0], [0, 1]], "file storage")
    file.release()
check(cv2.QRCodeDetector().detectAndDecode(cv2.copyMakeBorder(cv2.resize(cv2.QRCodeEncoder_create().encode("layer"), None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST), 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=255))[0] == "layer", "QR code")
try:
    cv2.cvtColor(grey, cv2.COLOR_BGR2HSV)
    raise SystemExit("opencv: a grey picture has colours")
except cv2.error:
    pass
