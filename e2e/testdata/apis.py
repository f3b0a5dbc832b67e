"""Tries the APIs beside chat completions with the official SDKs.

Usage: python apis.py BASE_URL. Prints one JSON line a case; the Go test reads
them. Deployments and models are those of internal/rig/policy.yaml.tmpl.
"""

import json
import sys
import traceback

import anthropic
import openai

BASE_URL = sys.argv[1]
CLAUDE = anthropic.Anthropic(base_url=BASE_URL.removesuffix("/v1"), api_key="sk-e2e", max_retries=0, timeout=60)
OPENAI = openai.OpenAI(base_url=BASE_URL, api_key="sk-e2e", max_retries=0, timeout=60)
HELLO = [{"role": "user", "content": "Say hello."}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "weather", "description": "The weather of a city.", "input_schema": SCHEMA}
FUNCTION = {"type": "function", "name": "weather", "description": "The weather of a city.", "parameters": SCHEMA, "strict": False}
CASES = []


def case(function):
    CASES.append(function)
    return function


def expect(condition, *context):
    if not condition:
        raise AssertionError(" ".join(repr(c) for c in context) or "expectation failed")


def message(**arguments):
    return {"model": "messages", "max_tokens": 200, "messages": HELLO, **arguments}


def response(**arguments):
    return {"model": "responses", "input": "Say hello.", **arguments}


@case
def messages_whole():
    raw = CLAUDE.messages.with_raw_response.create(**message(system="Be brief."))
    answer = raw.parse()
    expect(answer.type == "message" and answer.content[0].text and answer.stop_reason == "end_turn", answer)
    expect(answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0, answer.usage)
    expect(raw.headers["x-wye-model"] == answer.model and raw.headers["x-wye-deployment"] == "messages", raw.headers)


@case
def messages_stream():
    with CLAUDE.messages.stream(**message()) as stream:
        text = "".join(stream.text_stream)
        answer = stream.get_final_message()
    expect(text and answer.content[0].text == text and answer.stop_reason == "end_turn", answer)


@case
def messages_cap():
    answer = CLAUDE.messages.create(**message(max_tokens=3))
    expect(answer.stop_reason == "max_tokens" and answer.usage.output_tokens == 3, answer)


@case
def messages_tools():
    ask = message(tools=[WEATHER], tool_choice={"type": "tool", "name": "weather"})
    call = CLAUDE.messages.create(**ask)
    expect(call.stop_reason == "tool_use" and call.content[0].name == "weather", call)
    turns = HELLO + [
        {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in call.content]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.content[0].id, "content": "rain"}]},
    ]
    answer = CLAUDE.messages.create(**message(tools=[WEATHER], messages=turns))
    expect(answer.content[0].text, answer)


@case
def messages_tools_stream():
    with CLAUDE.messages.stream(**message(tools=[WEATHER], tool_choice={"type": "any"})) as stream:
        answer = stream.get_final_message()
    expect(answer.stop_reason == "tool_use" and "city" in answer.content[0].input, answer)


@case
def messages_image():
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    expect(CLAUDE.messages.create(**message(messages=[{"role": "user", "content": content}])).content[0].text)


@case
def messages_count_tokens():
    count = CLAUDE.messages.count_tokens(model="messages", messages=HELLO)
    expect(count.input_tokens > 0, count)


@case
def messages_errors():
    for kind, status, type_, arguments in [
        (anthropic.NotFoundError, 404, "not_found_error", {"model": "nope"}),
        (anthropic.BadRequestError, 400, "invalid_request_error", {"messages": []}),
        (anthropic.BadRequestError, 400, "invalid_request_error", {"extra_body": {"no_such_field": 1}}),
        (anthropic.APIStatusError, 503, "overloaded_error", {"extra_headers": {"x-e2e-fail": "*=reset"}}),
    ]:
        try:
            answer = CLAUDE.messages.create(**message(**arguments))
        except anthropic.APIStatusError as error:
            expect(isinstance(error, kind) and error.status_code == status, type(error), error.body)
            expect(error.body["type"] == "error" and error.body["error"]["type"] == type_, error.body)
            expect(error.body["error"]["message"], error.body)
        else:
            raise AssertionError(f"answered: {answer!r}")


@case
def messages_stream_error():
    try:
        with CLAUDE.messages.stream(**message(model="nope")) as stream:
            stream.get_final_message()
    except anthropic.NotFoundError as error:
        expect(error.body["error"]["type"] == "not_found_error", error.body)
    else:
        raise AssertionError("answered")


@case
def responses_whole():
    raw = OPENAI.responses.with_raw_response.create(**response(instructions="Be brief."))
    answer = raw.parse()
    expect(answer.output_text and answer.status == "completed" and answer.usage.total_tokens > 0, answer)
    expect(raw.headers["x-wye-model"] == answer.model, raw.headers)


@case
def responses_stream():
    with OPENAI.responses.stream(**response()) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        answer = stream.get_final_response()
    expect(text and answer.output_text == text, answer)


@case
def responses_tools():
    call = OPENAI.responses.create(**response(tools=[FUNCTION], tool_choice={"type": "function", "name": "weather"}))
    item = call.output[0]
    expect(item.type == "function_call" and "city" in json.loads(item.arguments), call)
    turns = HELLO + [
        item.model_dump(exclude_none=True),
        {"type": "function_call_output", "call_id": item.call_id, "output": "rain"},
    ]
    expect(OPENAI.responses.create(**response(input=turns, tools=[FUNCTION])).output_text)


@case
def responses_state():
    first = OPENAI.responses.create(**response(model="responses/medium"))
    second = OPENAI.responses.create(**response(model="responses/medium", previous_response_id=first.id))
    expect(second.output_text, second)


@case
def responses_errors():
    for kind, status, code, arguments in [
        (openai.NotFoundError, 404, "model_not_found", {"model": "nope"}),
        (openai.BadRequestError, 400, "previous_response_not_pinned", {"previous_response_id": "resp_1"}),
        (openai.BadRequestError, 400, "previous_response_not_found", {"model": "responses/medium", "previous_response_id": "resp_1"}),
        (openai.BadRequestError, 400, "unknown_parameter", {"extra_body": {"no_such_field": 1}}),
        (openai.InternalServerError, 503, "all_models_failed", {"extra_headers": {"x-e2e-fail": "*=reset"}}),
    ]:
        try:
            answer = OPENAI.responses.create(**response(**arguments))
        except openai.APIStatusError as error:
            expect(isinstance(error, kind) and error.status_code == status and error.code == code, type(error), error.body)
        else:
            raise AssertionError(f"answered: {answer!r}")


@case
def embeddings():
    answer = OPENAI.embeddings.create(model="legacy/embedder", input=["a", "b"])
    expect(len(answer.data) == 2 and len(answer.data[0].embedding) == 8, answer)
    expect(answer.data[0].embedding != answer.data[1].embedding and answer.usage.prompt_tokens >= 0, answer)


@case
def completions():
    answer = OPENAI.completions.create(model="legacy", prompt="Once upon a time", max_tokens=8)
    expect(answer.choices[0].text and answer.choices[0].finish_reason in ("stop", "length"), answer)
    stream = OPENAI.completions.create(model="legacy", prompt="Once upon a time", stream=True)
    expect("".join(chunk.choices[0].text for chunk in stream if chunk.choices))


for function in CASES:
    failure = ""
    try:
        function()
    except Exception:
        failure = traceback.format_exc(limit=-3)
    print(json.dumps({"case": function.__name__, "failure": failure}), flush=True)
