"""phonenumbers parses, formats and validates numbers with the metadata of every region that it lists, and knows places, carriers and time zones."""
import importlib.metadata

import phonenumbers
from phonenumbers import carrier, geocoder, timezone
from phonenumbers.phonenumberutil import NumberParseException


def check(ok, what):
    if not ok:
        raise SystemExit("phonenumbers: " + what)


check(importlib.metadata.version("phonenumbers") == phonenumbers.__version__, "metadata and module disagree on the version")
check(len(phonenumbers.SUPPORTED_REGIONS) > 230, "the list of regions is short")
for region in phonenumbers.SUPPORTED_REGIONS:
    check(phonenumbers.PhoneMetadata.metadata_for_region(region) is not None, "no metadata of " + region)
    example = phonenumbers.example_number(region)
    check(example is not None and phonenumbers.is_possible_number(example), "no example of " + region)
swiss = phonenumbers.parse("044 668 18 00", "CH")
check(phonenumbers.is_valid_number(swiss) and phonenumbers.region_code_for_number(swiss) == "CH", "validation")
for kind, want in ((phonenumbers.PhoneNumberFormat.E164, "+41446681800"), (phonenumbers.PhoneNumberFormat.INTERNATIONAL, "+41 44 668 18 00"), (phonenumbers.PhoneNumberFormat.RFC3966, "tel:+41-44-668-18-00")):
    check(phonenumbers.format_number(swiss, kind) == want, want)
check(geocoder.description_for_number(swiss, "en") == "Zurich" and geocoder.description_for_number(swiss, "de") == "Zürich", "geocoder")
check(timezone.time_zones_for_number(swiss) == ("Europe/Zurich",), "time zones")
check(carrier.name_for_number(phonenumbers.parse("+40721234567"), "en") == "Vodafone", "carrier")
found = list(phonenumbers.PhoneNumberMatcher("Call 510-748-8230 or (650) 253-0000.", "US"))
check([m.raw_string for m in found] == ["510-748-8230", "(650) 253-0000"], "numbers in a text")
typed = phonenumbers.AsYouTypeFormatter("US")
check([typed.input_digit(d) for d in "6502530000"][-1] == "(650) 253-0000", "as you type")
check(not phonenumbers.is_valid_number(phonenumbers.parse("+120012301")) and phonenumbers.is_number_match("+14155552671", "4155552671") > 0, "wrong or matching numbers")
check(phonenumbers.is_emergency_number("112", "DE"), "short numbers")
try:
    phonenumbers.parse("no number", None)
    raise SystemExit("phonenumbers: a text without digits is accepted")
except NumberParseException:
    pass
