"""Call Wye with the official OpenAI SDK.

OPENAI_BASE_URL and OPENAI_API_KEY say where and as whom, as for any program
that uses the SDK. The only other change is the model: it names a deployment.
"""

import openai

client = openai.OpenAI()


def routing(headers):
    """What Wye says of its decision, from the response's headers."""
    return (
        f"{headers['x-wye-model']} in mode {headers['x-wye-mode']},"
        f" attempt {headers['x-wye-attempts']}, decision {headers['x-wye-decision']}"
    )


def plain():
    """One question, one answer. with_raw_response gives the headers too."""
    response = client.chat.completions.with_raw_response.create(
        model="auto",
        messages=[{"role": "user", "content": "Which is larger, 9.11 or 9.9?"}],
    )
    completion = response.parse()
    print("plain:", routing(response.headers))
    print("  answer:", completion.choices[0].message.content)
    print("  tokens:", completion.usage.prompt_tokens, "in,", completion.usage.completion_tokens, "out")


def other_mode():
    """One request in another mode, where the deployment allows it."""
    response = client.chat.completions.with_raw_response.create(
        model="auto",
        messages=[{"role": "user", "content": "Prove that the square root of 2 is irrational."}],
        extra_headers={"x-wye-mode": "quality"},
    )
    print("other mode:", routing(response.headers))


def streamed():
    """Chunks arrive as the provider sends them."""
    response = client.chat.completions.with_raw_response.create(
        model="auto",
        messages=[{"role": "user", "content": "Name five rivers of Europe."}],
        stream=True,
        stream_options={"include_usage": True},
    )
    print("streamed:", routing(response.headers))
    chunks, tokens = 0, 0
    for chunk in response.parse():
        chunks += bool(chunk.choices and chunk.choices[0].delta.content)
        if chunk.usage:
            tokens = chunk.usage.completion_tokens
    print("  chunks:", chunks, "tokens out:", tokens)


def unknown_deployment():
    """Errors have OpenAI's shape, so the SDK raises its own classes."""
    try:
        client.chat.completions.create(model="no-such-deployment", messages=[{"role": "user", "content": "Hello"}])
    except openai.NotFoundError as error:
        print("unknown deployment:", error.status_code, error.code)
    else:
        raise SystemExit("an unknown deployment was served")


def main():
    print("deployments:", ", ".join(sorted(model.id for model in client.models.list())))
    plain()
    other_mode()
    streamed()
    unknown_deployment()


if __name__ == "__main__":
    main()
