"""The templates of mails: complete in both languages, safe in both parts, told where they are wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from documents.letters import Letters, blocks_of
from documents.samples import sample_facts
from documents.shelf import OURS, Shelf, TemplateError
from domain.mail_templates import BY_NAME, TEMPLATES
from domain.publisher import Publisher

LETTERS = Letters(Shelf())
ENGLISH = re.compile(r"\b(the|your|you|and|please|is)\b", re.IGNORECASE)


@pytest.mark.parametrize("name", BY_NAME)
def test_every_template_is_there_in_english_and_german(name: str) -> None:
    assert {"de", "en"} <= set(LETTERS.languages(name))
    german = LETTERS.write(name, sample_facts("de-DE", "EUR"))
    english = LETTERS.write(name, sample_facts("en-US", "USD"))
    assert (german.language, english.language) == ("de", "en")
    own = german.text.partition("\n-- ")[0].replace("Digital, yearly", "")
    assert not ENGLISH.search(re.sub(r"https?://\S+|The Harbor Courier|Harbor Bank", "", own))
    assert not ENGLISH.search(german.subject.replace("The Harbor Courier", ""))
    for letter in (german, english):
        assert "Robin Reader" in letter.text
        assert "Robin Reader" in letter.html
        assert "\n" not in letter.subject
        assert "None" not in letter.text


def test_the_words_of_both_languages_are_the_same_set() -> None:
    files = {file.stem: file.read_text() for file in (OURS / "words").glob("*.yaml")}
    keys = {name: re.findall(r"^(\w+):", text, re.MULTILINE) for name, text in files.items()}
    assert sorted(keys["de"]) == sorted(keys["en"])
    assert {file.stem for file in (OURS / "mails" / "en").glob("*.txt")} == {each.name for each in TEMPLATES}


@pytest.mark.parametrize("name", BY_NAME)
def test_every_template_works_with_as_little_as_there_can_be(name: str) -> None:
    full = sample_facts("en-US", "USD")
    bare = replace(
        full,
        name=None,
        subscription=None,
        open_since=None,
        publisher=Publisher(),
        payment=replace(full.payment, invoices=()) if full.payment else None,
    )
    letter = LETTERS.write(name, bare)
    assert "Dear reader," in letter.text
    assert "None" not in letter.text + letter.html


def test_what_a_reader_is_called_does_no_harm() -> None:
    facts = replace(sample_facts("en-US", "USD"), name='<img src=x onerror="alert(1)"> {{ 7 * 7 }}')
    letter = LETTERS.write("receipt", facts)
    assert "<img" not in letter.html
    assert "&lt;img" in letter.html
    assert "{{ 7 * 7 }}" in letter.text


def test_html_calls_nothing_and_links_only_where_we_say() -> None:
    for template in TEMPLATES:
        html = LETTERS.write(
            template.name, sample_facts("en-US", "USD"), unsubscribe="https://hub.example/u"
        ).html
        assert not re.search(r"src=|url\(|@import|<script", html)
        assert set(re.findall(r'href="([^"]*)"', html)) <= {
            "https://harbor-courier.example/me",
            "https://hub.example/u",
        }


def test_blocks() -> None:
    found = blocks_of(
        "Dear A,\nhello\n\n  Total: 1\n  Due: 2\n\n[Pay] https://a.example/b\n\n  Total: 1\nbut no row"
    )
    assert [block.kind for block in found] == ["paragraph", "rows", "button", "paragraph"]
    assert found[0].lines == ("Dear A,", "hello")
    assert found[1].rows == (("Total", "1"), ("Due", "2"))
    assert (found[2].label, found[2].url) == ("Pay", "https://a.example/b")


def test_the_nearest_locale_wins_and_what_is_missing_is_english(tmp_path: Path) -> None:
    for place, text in (("de-CH", "Subject: Grüezi\n\nx"), ("fr", "Subject: Bonjour\n\nx")):
        (tmp_path / "mails" / place).mkdir(parents=True)
        (tmp_path / "mails" / place / "paused.txt").write_text(text)
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "fr.yaml").write_text("invoice: Facture")
    letters = Letters(Shelf(tmp_path))
    subjects = {
        locale: letters.write("paused", sample_facts(locale, "EUR")).subject
        for locale in ("de-CH", "de-AT", "fr-FR", "en-US", "ja-JP")
    }
    assert subjects == {
        "de-CH": "Grüezi",
        "de-AT": "Ihr Abonnement ist unterbrochen",
        "fr-FR": "Bonjour",
        "en-US": "Your subscription is paused",
        "ja-JP": "Your subscription is paused",
    }


def test_own_html_and_layout(tmp_path: Path) -> None:
    (tmp_path / "mails" / "en").mkdir(parents=True)
    (tmp_path / "mails" / "en" / "paused.html").write_text("<p>{{ name }} &amp; {{ subject }}</p>")
    (tmp_path / "mails" / "layout.html").write_text("<i>{{ blocks | length }}</i>")
    letters = Letters(Shelf(tmp_path))
    facts = replace(sample_facts("en-US", "USD"), name="A<B")
    assert letters.write("paused", facts).html == "<p>A&lt;B &amp; Your subscription is paused</p>"
    assert re.fullmatch(r"<i>\d+</i>", letters.write("canceled", facts).html)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no subject", r"mails/en/paused\.txt has to begin with a line `Subject: \.\.\.`"),
        ("Subject: {{ nobody }}", r"paused\.txt cannot be filled in: 'nobody' is undefined"),
        ("Subject: {% if %}", r"paused\.txt, line 1: "),
        ("Subject: a\n{{ ''.__class__.__mro__ }}", r"paused\.txt cannot be filled in: .*unsafe"),
    ],
)
def test_what_is_wrong_with_a_template_is_told(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "mails" / "en").mkdir(parents=True)
    (tmp_path / "mails" / "en" / "paused.txt").write_text(text)
    with pytest.raises(TemplateError, match=said):
        Letters(Shelf(tmp_path)).write("paused", sample_facts("en-US", "USD"))
