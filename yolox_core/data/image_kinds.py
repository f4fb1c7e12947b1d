"""Which kinds of image files can be read: what every build of OpenCV opens, and what the installed one does.

GIF, AVIF and JPEG 2000 are options of OpenCV's build (imgcodecs: WITH_AVIF, WITH_OPENJPEG, WITH_IMGCODEC_GIF), so the
smallest image of each is decoded once; a kind that fails is not read, and files of it are named as such.
"""

import base64

import cv2
import numpy as np

_JPEG = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif"})
_ALWAYS = _JPEG | {".png", ".apng", ".bmp", ".dib", ".webp", ".tif", ".tiff"}
# suffixes, and one gray pixel written by Pillow 12 or OpenCV, in base 85
_BY_BUILD = (
    ((".gif",), "M@dFFH(>z)0RVvj0LaM5000000000004x9i000310RR991ONd91OPh"),
    ((".ppm", ".pgm", ".pbm", ".pnm"), "P&EoMATbIuH8l#z"),
    ((".pam",), "P&W!!NkmjgATbI^MM+0UR3I@5L`6_kNFXr^O+i>zK};YrH8l!FPDDsVQVMt"),
    ((".ras", ".sr"), "S*B{000001000010000800002000010000000000c(4"),
    (
        (".jp2", ".j2k", ".j2c", ".jpc"),
        "0000CYEU2`4GM<}0000KW^{RQYH%_j00000YH%_j0000jYH%`W0000MX=r3}0000100001009RF0000001sntY;pkr000005dZ)Hg=%mzWB*"
        "V8Q2;3b000000RR910RR9100000000000RR910RR9100000000380RjI~01N;C009611Oxy9|6BkBKtTUw03`qcLvm$dbY)~9VtF7>aAj^vP"
        "(?=|c4cyNX>V>IGA=bPH2;tQ3IG5A000vJ0soWFv<L)G|Je",
    ),
    (
        (".avif",),
        "0000WW^{RQVRmU|00000VRmU|ZE0pPZE0a<O+hh20002%ZDn*}000000000XXk=`10000000000aA{+7000000000000000000004sdC7Z2$"
        "lO000310016oY;R)#0000)000310RR910RR926951J9{>OVC~0YKW&i*H00031000_kZf0cy000000RRADb}%tRZ)|UJ00000YH4tCZ~y=RO"
        "KEUpZvX%Q6lrsCWdHyG000000RR910RR915O8UDX#fBK00RgJ2mk;83}JRLLxBJc000006Ju{|a&BX6cmM$a4FCp!0000NX>e^}000000000"
        "1009I60)qqq001X#WMOm?015~g00xK%Xfz-)5g+%5g%#ib|Kh*^0FX6~Jaq",
    ),
)


def _opens(sample: str) -> bool:
    try:
        return cv2.imdecode(np.frombuffer(base64.b85decode(sample), np.uint8), cv2.IMREAD_COLOR) is not None
    except cv2.error:
        return False


IMAGE_SUFFIXES = _ALWAYS.union(*(suffixes for suffixes, sample in _BY_BUILD if _opens(sample)))
