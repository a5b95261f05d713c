"""Faker finds its providers and languages by name, gives the same answers for a seed, and reads its word lists."""
# versions: >=25
import importlib.metadata

import faker
from faker import Faker
from faker.config import AVAILABLE_LOCALES
from faker.providers import BaseProvider


def check(ok, what):
    if not ok:
        raise SystemExit("faker: " + what)


check(importlib.metadata.version("faker") == faker.VERSION, "metadata and module disagree on the version")
check("en_US" in AVAILABLE_LOCALES, "English is missing")
for name in ("en_US", "de_DE", "fr_FR", "ja_JP", "pt_BR", "ru_RU", "zh_CN", "ar_SA", "hi_IN"):
    if name not in AVAILABLE_LOCALES:
        print("skipped: " + name + " (the layer does not carry it)")
        continue
    fake = Faker(name)
    fake.seed_instance(7)
    person = [fake.name(), fake.address(), fake.company(), fake.phone_number(), fake.date_of_birth(minimum_age=20).isoformat(), fake.job()]
    check(all(person), name + " has no person")
    fake.seed_instance(7)
    check(fake.name() == person[0], name + " forgets its seed")
fake = Faker("en_US")
providers = {p.__provider__.rpartition(".")[2] for p in fake.get_providers()}
check({"address", "automotive", "bank", "barcode", "color", "company", "credit_card", "currency", "date_time", "emoji", "file", "geo", "internet", "isbn", "job", "lorem", "misc", "person",
       "phone_number", "profile", "python", "sbn", "ssn", "user_agent"} <= providers, "providers are missing: %s" % sorted(providers))
fake.seed_instance(1)
check(fake.credit_card_number().isdigit() and "@" in fake.email() and len(fake.ean13()) == 13 and fake.ipv4_private().count(".") == 3, "numbers or addresses")
check(len(fake.profile()) > 10 and fake.user_agent().count("/") and -90 <= fake.latitude() <= 90 and len(fake.paragraph().split()) > 3, "profile, agent, place or text")
check(len({fake.unique.random_int(0, 9) for _ in range(10)}) == 10 and fake.bothify("##-??")[2] == "-", "unique or patterns")


class Layers(BaseProvider):
    def layer(self):
        return "layer-" + self.numerify("###")


fake.add_provider(Layers)
check(fake.layer().startswith("layer-"), "a provider of one's own")
