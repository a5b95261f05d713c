"""Django serves a page, a form, the admin's login and JSON, migrates SQLite, finds its templates, static files and translations, and has its test client."""
import importlib.metadata
import os
import sys
import types

import django
from django.conf import settings


def check(ok, what):
    if not ok:
        raise SystemExit("django: " + what)


try:
    import sqlite3
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
except ImportError:
    print("skipped: the database (this Python has no sqlite3)")
    database = {"ENGINE": "django.db.backends.dummy"}
settings.configure(
    SECRET_KEY="k" * 50, ROOT_URLCONF="urls_of_probe", ALLOWED_HOSTS=["testserver"], DATABASES={"default": database}, USE_TZ=True, STATIC_URL="static/", DEBUG=True,
    INSTALLED_APPS=["django.contrib." + a for a in ("admin", "auth", "contenttypes", "sessions", "messages", "staticfiles", "humanize")],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.locale.LocaleMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware", "django.contrib.messages.middleware.MessageMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {"context_processors": [
        "django.template.context_processors.request", "django.contrib.auth.context_processors.auth", "django.contrib.messages.context_processors.messages"]}}])
django.setup()
from django import forms
from django.contrib import admin
from django.contrib.staticfiles import finders
from django.core import management, validators
from django.core.exceptions import ValidationError
from django.http import JsonResponse
from django.template import Context, Template
from django.test import Client
from django.urls import path
from django.utils import translation
from django.utils.translation import gettext


class Order(forms.Form):
    count = forms.IntegerField(min_value=1)
    mail = forms.EmailField()


urls = types.ModuleType("urls_of_probe")
urls.urlpatterns = [path("json/<int:n>/", lambda request, n: JsonResponse({"n": n, "q": request.GET.get("q")})), path("admin/", admin.site.urls)]
sys.modules["urls_of_probe"] = urls
check(importlib.metadata.version("django") == django.get_version(), "metadata and module disagree on the version")
check(Client().get("/json/7/", {"q": "é"}).json() == {"n": 7, "q": "é"} and Client().get("/none/").status_code == 404, "views")
check(Template("{% load humanize %}{{ n|intcomma }} {{ t|upper }}{% for x in l %}{{ x }}{% endfor %}").render(Context({"n": 1234, "t": "é", "l": [1, 2]})) == "1,234 É12", "template")
form = Order({"count": "0", "mail": "x"})
check(not form.is_valid() and set(form.errors) == {"count", "mail"} and "<input" in Order().as_p(), "form")
check(finders.find("admin/css/base.css") and os.path.isfile(finders.find("admin/js/core.js")), "the admin's static files")
for language, want in (("de", "Passwort"), ("fr", "Mot de passe"), ("ja", "パスワード")):
    if not os.path.isdir(os.path.join(os.path.dirname(django.__file__), "contrib", "auth", "locale", language)):
        print("skipped: " + language + " (the layer does not carry it)")
        continue
    with translation.override(language):
        check(gettext("Password") == want or gettext("password").capitalize() == want, "translation to %s: %s" % (language, gettext("Password")))
try:
    validators.validate_email("no mail")
    raise SystemExit("django: a wrong address is accepted")
except ValidationError:
    pass
if "sqlite3" in database["ENGINE"]:
    management.call_command("migrate", verbosity=0)
    from django.contrib.auth.models import User
    User.objects.create_superuser("root", "r@example.com", "Secret-12345")
    check(User.objects.filter(username__startswith="r", is_staff=True).count() == 1, "query")
    client = Client()
    page = client.get("/admin/login/")
    check(page.status_code == 200 and b"csrfmiddlewaretoken" in page.content, "the admin's login")
    check(client.login(username="root", password="Secret-12345") and b"auth/user" in client.get("/admin/").content, "the admin's index")
    from django.contrib.auth.password_validation import validate_password
    from django.contrib.auth.password_validation import CommonPasswordValidator
    try:
        validate_password("password1", password_validators=[CommonPasswordValidator()])
        raise SystemExit("django: a common password is accepted")
    except ValidationError:
        pass
management.call_command("check", verbosity=0)
