"""What opens other systems is encrypted at rest, and keys can be changed."""

from __future__ import annotations

import base64

import pytest

from storage.encryption import Encryption, Sealed, SecretKeyError, new_key


def test_what_is_sealed_opens_with_its_key_and_shows_nothing() -> None:
    encryption = Encryption.of(new_key())
    sealed = encryption.seal("the-refresh-token", "stripe")
    assert b"the-refresh-token" not in sealed.ciphertext
    assert encryption.open(sealed, "stripe") == "the-refresh-token"
    assert encryption.seal("the-refresh-token", "stripe").ciphertext != sealed.ciphertext


def test_a_new_key_in_front_opens_what_the_old_one_sealed() -> None:
    old, new = new_key(), new_key()
    sealed = Encryption.of(old).seal("x", "a")
    both = Encryption.of(f" {new} , {old} ")
    assert both.open(sealed, "a") == "x"
    assert both.seal("x", "a").key_id == Encryption.of(new).key_id != sealed.key_id


def test_without_its_key_the_key_is_named_by_its_id_and_the_remedy_told() -> None:
    sealed = Encryption.of(new_key()).seal("x", "hubspot")
    with pytest.raises(
        SecretKeyError, match=rf"token of hubspot .*{sealed.key_id}.*authorise the connection"
    ):
        Encryption.of(new_key()).open(sealed, "hubspot")


def test_a_text_moved_to_another_row_or_changed_does_not_open() -> None:
    encryption = Encryption.of(new_key())
    sealed = encryption.seal("x", "a")
    with pytest.raises(SecretKeyError, match="changed since it was stored"):
        encryption.open(sealed, "b")
    flipped = sealed.ciphertext[:-1] + bytes([sealed.ciphertext[-1] ^ 1])
    with pytest.raises(SecretKeyError, match="changed since it was stored"):
        encryption.open(Sealed(sealed.key_id, flipped), "a")


@pytest.mark.parametrize("setting", [None, "", " , "])
def test_without_a_key_storing_is_refused_and_how_to_make_one_is_said(setting: str | None) -> None:
    with pytest.raises(SecretKeyError, match=r"MASTHEAD_SECRET_KEY.*masthead connectors keygen"):
        Encryption.of(setting).seal("x", "a")


@pytest.mark.parametrize("wrong", ["hunter2", base64.b64encode(b"hunter2").decode(), "ü", "=" * 44])
def test_a_wrong_key_is_told_by_its_place_and_never_shown(wrong: str) -> None:
    with pytest.raises(SecretKeyError, match="key 2 of MASTHEAD_SECRET_KEY") as caught:
        Encryption.of(f"{new_key()},{wrong}")
    assert "hunter2" not in str(caught.value)
    assert wrong not in str(caught.value)
