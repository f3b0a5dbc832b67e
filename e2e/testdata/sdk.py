"""Tries Wye with the official OpenAI SDK, as a client would.

Usage: python sdk.py BASE_URL. Prints one JSON line a case; the Go test reads
them. Deployments and models are those of internal/rig/policy.yaml.tmpl.
"""

import asyncio
import json
import sys
import traceback

import openai

BASE_URL = sys.argv[1]
CLIENT = openai.OpenAI(base_url=BASE_URL, api_key="sk-e2e", max_retries=0, timeout=60)
HELLO = [{"role": "user", "content": "Say hello."}]
CASES = []


def case(function):
    CASES.append(function)
    return function


def create(**arguments):
    return CLIENT.chat.completions.create(**{"model": "auto", "messages": HELLO, **arguments})


def expect(condition, *context):
    if not condition:
        raise AssertionError(" ".join(repr(c) for c in context) or "expectation failed")


def refused(kind, status, code, param, arguments, type_="invalid_request_error"):
    """Expects create(**arguments) to raise exactly this."""
    try:
        answer = create(**arguments)
    except openai.APIStatusError as error:
        expect(type(error) is kind, type(error), error)
        expect(error.status_code == status, error.status_code)
        expect(error.code == code, "code", error.code, error.body)
        expect(error.param == param, "param", error.param, error.body)
        expect(error.type == type_, "type", error.type, error.body)
        expect(isinstance(error.body, dict) and error.body["message"], "body", error.body)
        expect(set(error.body) == {"message", "type", "param", "code"}, "body", error.body)
        return error
    raise AssertionError(f"answered: {answer!r}")


@case
def completion():
    answer = create()
    expect(answer.object == "chat.completion", answer.object)
    expect(answer.choices[0].message.content, answer)
    expect(answer.choices[0].finish_reason == "stop", answer)
    expect(answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens, answer.usage)


def azure(**arguments):
    return openai.AzureOpenAI(
        azure_endpoint=BASE_URL.removesuffix("/v1"), api_version="2024-10-21", api_key="azure-e2e", max_retries=0, timeout=60, **arguments
    )


@case
def azure_deployment_from_model():
    answer = azure().chat.completions.create(model="auto", messages=HELLO)
    expect(answer.choices[0].message.content and answer.model != "auto", answer)


@case
def azure_deployment_of_client():
    raw = azure(azure_deployment="fixed").chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO)
    expect(raw.headers["x-wye-deployment"] == "fixed", raw.headers)


@case
def azure_stream():
    stream = azure().chat.completions.create(model="auto", messages=HELLO, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    expect(text, text)


@case
def azure_models():
    expect("auto" in [m.id for m in azure().models.list()], "auto is not listed")


@case
def azure_errors():
    try:
        azure().chat.completions.create(model="no-such", messages=HELLO)
    except openai.NotFoundError as error:
        expect(error.code == "model_not_found", error.body)
    else:
        raise AssertionError("answered")


@case
def azure_new_api():
    client = openai.OpenAI(base_url=BASE_URL.removesuffix("/v1") + "/openai/v1/", api_key="azure-e2e", max_retries=0, timeout=60)
    answer = client.chat.completions.create(model="auto", messages=HELLO)
    expect(answer.choices[0].message.content, answer)


@case
def routing_config():
    raw = CLIENT.chat.completions.with_raw_response.create(
        model="auto", messages=HELLO, temperature=0.5, extra_body={"routing_config": {"mode": "cost", "models": ["medium"]}}
    )
    expect(raw.headers["x-wye-mode"] == "cost" and raw.parse().model == "medium-2026-01-01", raw.headers)
    refused(
        openai.BadRequestError, 400, "invalid_value", "routing_config.models[0]",
        {"extra_body": {"routing_config": {"models": ["thinker"]}}},
    )


@case
def raw_response_headers():
    raw = CLIENT.chat.completions.with_raw_response.create(model="alias-of-auto", messages=HELLO)
    answer = raw.parse()
    expect(raw.headers["x-wye-model"] == answer.model, raw.headers["x-wye-model"], answer.model)
    expect(raw.headers["x-wye-deployment"] == "auto", raw.headers)
    expect(raw.headers["x-wye-mode"] == "balanced", raw.headers)
    expect(raw.headers["x-wye-attempts"] == "1", raw.headers)
    expect(raw.headers["x-wye-decision"] and raw.headers["x-wye-policy"], raw.headers)


@case
def stream():
    text, chunks, finish = "", 0, None
    with create(stream=True) as events:
        for event in events:
            expect(event.object == "chat.completion.chunk", event)
            expect(event.usage is None, "usage was not asked for", event)
            for choice in event.choices:
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
            chunks += 1
    expect(text and chunks > 2 and finish == "stop", text, chunks, finish)


@case
def stream_with_usage():
    usage = None
    for event in create(stream=True, stream_options={"include_usage": True}):
        usage = event.usage or usage
    expect(usage and usage.completion_tokens > 0, usage)


@case
def mode_override():
    for mode in ("quality", "balanced", "cost"):
        raw = CLIENT.chat.completions.with_raw_response.create(
            model="auto", messages=HELLO, extra_headers={"x-wye-mode": mode}
        )
        expect(raw.headers["x-wye-mode"] == mode, mode, raw.headers)


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Weather of a town.",
            "parameters": {
                "type": "object",
                "properties": {"town": {"type": "string"}},
                "required": ["town"],
                "additionalProperties": False,
            },
        },
    }
]


@case
def tools_and_their_results():
    question = [{"role": "user", "content": "What is the weather in Bern?"}]
    answer = create(messages=question, tools=TOOLS, tool_choice="required")
    expect(answer.choices[0].finish_reason == "tool_calls", answer)
    message = answer.choices[0].message
    call = message.tool_calls[0]
    expect(call.function.name == "weather", call)
    json.loads(call.function.arguments)
    result = {"role": "tool", "tool_call_id": call.id, "content": "12 degrees, rain"}
    second = create(messages=[*question, message, result], tools=TOOLS)
    expect(second.choices[0].message.content, second)


@case
def tools_streamed():
    names, arguments, finish = "", "", None
    for event in create(tools=TOOLS, tool_choice="required", stream=True):
        for choice in event.choices:
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or []:
                names += call.function.name or ""
                arguments += call.function.arguments or ""
    expect(names == "weather" and finish == "tool_calls", names, arguments, finish)
    json.loads(arguments)


@case
def parts_and_images():
    pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    answer = create(
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": pixel}},
                ],
            }
        ]
    )
    expect(answer.choices[0].message.content, answer)


@case
def parameters_a_reasoning_model_refuses():
    answer = create(model="thinking", temperature=0.3, top_p=0.9, stop=["x"], max_tokens=300)
    expect(answer.model == "thinker-2026-03-01", answer.model)


@case
def concurrent_async_calls():
    async def main():
        async with openai.AsyncOpenAI(base_url=BASE_URL, api_key="sk-e2e", max_retries=0, timeout=60) as client:
            return await asyncio.gather(
                *(
                    client.chat.completions.create(model="auto", messages=[{"role": "user", "content": f"Count to {i}."}])
                    for i in range(24)
                )
            )

    answers = asyncio.run(main())
    expect(len(answers) == 24 and all(a.choices[0].message.content for a in answers))


@case
def models_listed():
    names = {model.id for model in CLIENT.models.list()}
    expect({"auto", "alias-of-auto", "thinking", "eu-only"} <= names, names)
    expect(CLIENT.models.retrieve("auto").id == "auto")


@case
def model_not_listed():
    try:
        CLIENT.models.retrieve("no-such-deployment")
    except openai.NotFoundError as error:
        expect(error.status_code == 404, error)
        return
    raise AssertionError("answered")


@case
def unknown_deployment():
    error = refused(openai.NotFoundError, 404, "model_not_found", "model", {"model": "no-such-deployment"})
    expect("no-such-deployment" in error.body["message"], error.body)


@case
def concrete_model_is_no_deployment():
    refused(openai.NotFoundError, 404, "model_not_found", "model", {"model": "small"})


@case
def empty_messages():
    refused(openai.BadRequestError, 400, "empty_array", "messages", {"messages": []})


@case
def context_length_exceeded():
    prompt = "The quick brown fox jumps over the lazy dog. " * 4000
    refused(
        openai.BadRequestError,
        400,
        "context_length_exceeded",
        "messages",
        {"model": "short-context", "messages": [{"role": "user", "content": prompt}]},
    )


@case
def mode_not_allowed():
    error = refused(openai.BadRequestError, 400, "mode_not_allowed", None, {"model": "fixed", "extra_headers": {"x-wye-mode": "cost"}})
    expect("cost" in error.body["message"] and "fixed" in error.body["message"], error.body)


@case
def no_candidate():
    error = refused(openai.BadRequestError, 400, "no_candidate", None, {"model": "short-context", "tools": TOOLS})
    expect("small" in error.body["message"] and "tools" in error.body["message"], error.body)


@case
def audio_input():
    audio = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    refused(
        openai.BadRequestError,
        400,
        "unsupported_value",
        "messages[0].content[0]",
        {"messages": [{"role": "user", "content": [audio]}]},
    )


@case
def body_too_large():
    prompt = "x" * (70 * 1024)
    refused(
        openai.APIStatusError,
        413,
        "request_too_large",
        None,
        {"model": "small-bodies", "messages": [{"role": "user", "content": prompt}]},
    )


@case
def provider_errors_pass_through():
    error = refused(
        openai.UnprocessableEntityError,
        422,
        "e2e_fault",
        None,
        {"extra_headers": {"x-e2e-fail": "*=422"}},
        type_="e2e",
    )
    expect(error.response.headers["x-wye-model"], error.response.headers)


def main():
    for function in CASES:
        line = {"case": function.__name__}
        try:
            function()
        except Exception as error:  # each case is reported, whatever it raised
            line["failure"] = "".join(traceback.format_exception(error, chain=False))
        print(json.dumps(line), flush=True)


main()
