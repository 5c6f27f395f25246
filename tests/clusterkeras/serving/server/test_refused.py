from clusterkeras.serving.server.refused import bad


def test_a_message_with_names_of_any_length_stays_short():
    assert bad("images: expected one").message == "images: expected one"
    error = bad("expected images; received " + "n" * 100_000)
    assert error.message.startswith("expected images; received nnn")
    assert error.message.endswith(" ...") and len(error.message) < 1100
