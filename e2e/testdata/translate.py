"""Tries every pair of a client's API and a provider's with the official SDKs.

Usage: python translate.py BASE_URL. Prints one JSON line a case, with the pair
and the feature; the Go test reads them and keeps the table of docs/translation.md.
Deployments and models are those of internal/rig/policy.yaml.tmpl.
"""

import json
import sys
import traceback

import anthropic
import openai
import pydantic

BASE_URL = sys.argv[1]
OPENAI = openai.OpenAI(base_url=BASE_URL, api_key="sk-e2e", max_retries=0, timeout=60, _strict_response_validation=True)
CLAUDE = anthropic.Anthropic(
    base_url=BASE_URL.removesuffix("/v1"), api_key="sk-e2e", max_retries=0, timeout=60, _strict_response_validation=True
)
HELLO = [{"role": "user", "content": "Say hello."}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
PNG = "iVBORw0KGgo="
# The deployments that have backends of one API alone, and two models, by it.
PROVIDERS = {"chat completions": ("fixed", ["large", "medium"]), "Messages": ("messages", ["claude", "claudette"])}
FEATURES = []


def feature(name):
    def register(cls):
        FEATURES.append((name, cls))
        return cls

    return register


def expect(condition, *context):
    if not condition:
        raise AssertionError(" ".join(repr(c) for c in context) or "expectation failed")


class Chat:
    name = "chat completions"

    def __init__(self, deployment):
        self.deployment = deployment

    def create(self, **arguments):
        return OPENAI.chat.completions.create(**{"model": self.deployment, "messages": HELLO, **arguments})

    def stream(self, **arguments):
        with OPENAI.chat.completions.stream(**{"model": self.deployment, "messages": HELLO, **arguments}) as stream:
            text = "".join(event.delta for event in stream if event.type == "content.delta")
            return text, stream.get_final_completion()


class Messages:
    name = "Messages"

    def __init__(self, deployment):
        self.deployment = deployment

    def create(self, **arguments):
        return CLAUDE.messages.create(**{"model": self.deployment, "max_tokens": 200, "messages": HELLO, **arguments})

    def stream(self, **arguments):
        with CLAUDE.messages.stream(**{"model": self.deployment, "max_tokens": 200, "messages": HELLO, **arguments}) as stream:
            text = "".join(stream.text_stream)
            return text, stream.get_final_message()


CHAT_TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather of a city.", "parameters": SCHEMA}}
MESSAGES_TOOL = {"name": "weather", "description": "The weather of a city.", "input_schema": SCHEMA}


@feature("answer, with system prompt and usage")
class Answer:
    @staticmethod
    def chat(client):
        answer = client.create(messages=[{"role": "system", "content": "Be brief."}, *HELLO], temperature=0.5, stop=["END"], user="u")
        choice = answer.choices[0]
        expect(choice.message.role == "assistant" and choice.message.content and choice.finish_reason == "stop", answer)
        usage = answer.usage
        expect(usage.prompt_tokens > 0 and usage.completion_tokens > 0, usage)
        expect(usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, usage)

    @staticmethod
    def messages(client):
        answer = client.create(
            system="Be brief.", stop_sequences=["END"], metadata={"user_id": "u"}, extra_body={"temperature": 0.5}
        )
        expect(answer.type == "message" and answer.content[0].text and answer.stop_reason == "end_turn", answer)
        expect(answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0, answer.usage)


@feature("stream")
class Stream:
    @staticmethod
    def chat(client):
        text, answer = client.stream()
        expect(text and answer.choices[0].message.content == text and answer.choices[0].finish_reason == "stop", answer)
        expect(answer.usage is None, answer.usage)

    @staticmethod
    def messages(client):
        text, answer = client.stream()
        expect(text and answer.content[0].text == text and answer.stop_reason == "end_turn", answer)


@feature("usage at the end of a stream")
class StreamUsage:
    @staticmethod
    def chat(client):
        _, answer = client.stream(stream_options={"include_usage": True})
        expect(answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0, answer.usage)

    @staticmethod
    def messages(client):
        _, answer = client.stream()
        expect(answer.usage.output_tokens > 1 and answer.usage.input_tokens + answer.usage.cache_read_input_tokens > 0, answer.usage)


@feature("output cap")
class Cap:
    @staticmethod
    def chat(client):
        for cap in ("max_tokens", "max_completion_tokens"):
            answer = client.create(**{cap: 3})
            expect(answer.choices[0].finish_reason == "length" and answer.usage.completion_tokens == 3, answer)

    @staticmethod
    def messages(client):
        answer = client.create(max_tokens=3)
        expect(answer.stop_reason == "max_tokens" and answer.usage.output_tokens == 3, answer)


@feature("tools and their results")
class Tools:
    @staticmethod
    def chat(client):
        call = client.create(tools=[CHAT_TOOL], tool_choice={"type": "function", "function": {"name": "weather"}})
        choice = call.choices[0]
        expect(choice.finish_reason == "tool_calls" and choice.message.tool_calls[0].function.name == "weather", call)
        expect("city" in json.loads(choice.message.tool_calls[0].function.arguments), call)
        turns = [
            *HELLO,
            choice.message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": choice.message.tool_calls[0].id, "content": "rain"},
        ]
        answer = client.create(tools=[CHAT_TOOL], messages=turns)
        expect(answer.choices[0].message.content, answer)

    @staticmethod
    def messages(client):
        call = client.create(tools=[MESSAGES_TOOL], tool_choice={"type": "tool", "name": "weather"})
        expect(call.stop_reason == "tool_use" and call.content[0].name == "weather" and "city" in call.content[0].input, call)
        turns = [
            *HELLO,
            {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in call.content]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.content[0].id, "content": "rain"}]},
        ]
        answer = client.create(tools=[MESSAGES_TOOL], messages=turns)
        expect(answer.content[0].text, answer)


@feature("streamed arguments of tools")
class ToolStream:
    @staticmethod
    def chat(client):
        _, answer = client.stream(tools=[CHAT_TOOL], tool_choice="required")
        call = answer.choices[0].message.tool_calls[0]
        expect(answer.choices[0].finish_reason == "tool_calls" and call.function.name == "weather" and call.id, answer)
        expect("city" in json.loads(call.function.arguments), answer)

    @staticmethod
    def messages(client):
        _, answer = client.stream(tools=[MESSAGES_TOOL], tool_choice={"type": "any"})
        expect(answer.stop_reason == "tool_use" and "city" in answer.content[0].input and answer.content[0].id, answer)


@feature("images")
class Image:
    @staticmethod
    def chat(client):
        content = [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PNG}},
        ]
        expect(client.create(messages=[{"role": "user", "content": content}]).choices[0].message.content)

    @staticmethod
    def messages(client):
        source = {"type": "base64", "media_type": "image/png", "data": PNG}
        content = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
        expect(client.create(messages=[{"role": "user", "content": content}]).content[0].text)


@feature("answers in a JSON schema")
class Schema:
    @staticmethod
    def chat(client):
        class City(pydantic.BaseModel):
            city: str

        answer = OPENAI.chat.completions.parse(model=client.deployment, messages=HELLO, response_format=City)
        expect(isinstance(answer.choices[0].message.parsed, City), answer)

    @staticmethod
    def messages(client):
        answer = client.create(output_config={"format": {"type": "json_schema", "schema": SCHEMA}})
        expect("city" in json.loads(answer.content[0].text), answer)


@feature("errors of the provider")
class Errors:
    @staticmethod
    def chat(client):
        for kind, status, headers in [
            (openai.UnprocessableEntityError, 422, {"x-e2e-fail": "*=422"}),
            (openai.NotFoundError, 404, {"x-e2e-fail": "*=404"}),
        ]:
            for stream in (False, True):
                try:
                    answer = client.create(extra_headers=headers, stream=stream)
                except openai.APIStatusError as error:
                    expect(isinstance(error, kind) and error.status_code == status, type(error), error.body)
                    expect(set(error.body) == {"message", "type", "param", "code"}, error.body)
                    expect(error.body["message"] == "told to fail", error.body)
                else:
                    raise AssertionError(f"answered: {answer!r}")

    @staticmethod
    def messages(client):
        for kind, status, headers in [
            (anthropic.UnprocessableEntityError, 422, {"x-e2e-fail": "*=422"}),
            (anthropic.NotFoundError, 404, {"x-e2e-fail": "*=404"}),
        ]:
            for stream in (False, True):
                try:
                    answer = client.create(extra_headers=headers, stream=stream)
                except anthropic.APIStatusError as error:
                    expect(isinstance(error, kind) and error.status_code == status, type(error), error.body)
                    expect(error.body["error"]["message"] == "told to fail", error.body)
                else:
                    raise AssertionError(f"answered: {answer!r}")


@feature("another model when one fails")
class Fallback:
    @staticmethod
    def chat(client):
        _, models = PROVIDERS[client.provider]
        for fails in models:
            headers = {"x-e2e-fail": f"{fails}-us=529,{fails}-eu=529"}
            answer = client.create(extra_headers=headers)
            expect(answer.choices[0].message.content and not answer.model.startswith(fails + "-"), answer)
            chunks = list(client.create(extra_headers=headers, stream=True))
            expect(chunks[-1].choices[0].finish_reason == "stop" and not chunks[0].model.startswith(fails + "-"), chunks)

    @staticmethod
    def messages(client):
        _, models = PROVIDERS[client.provider]
        for fails in models:
            headers = {"x-e2e-fail": f"{fails}-us=429,{fails}-eu=429"}
            answer = client.create(extra_headers=headers)
            expect(answer.content[0].text and not answer.model.startswith(fails + "-"), answer)
            _, answer = client.stream(extra_headers=headers)
            expect(answer.content[0].text and not answer.model.startswith(fails + "-"), answer)


@feature("retries of the SDK")
class Retries:
    @staticmethod
    def chat(client):
        sdk = OPENAI.with_options(max_retries=1)
        try:
            sdk.chat.completions.create(model=client.deployment, messages=HELLO, extra_headers={"x-e2e-fail": "*=503"})
        except openai.InternalServerError as error:
            expect(error.status_code == 503 and error.code == "all_models_failed", error.body)
            expect(error.request.headers["x-stainless-retry-count"] == "1", error.request.headers)
        else:
            raise AssertionError("answered")

    @staticmethod
    def messages(client):
        sdk = CLAUDE.with_options(max_retries=1)
        try:
            sdk.messages.create(model=client.deployment, max_tokens=9, messages=HELLO, extra_headers={"x-e2e-fail": "*=503"})
        except anthropic.APIStatusError as error:
            expect(error.status_code == 503 and error.body["error"]["type"] == "overloaded_error", error.body)
            expect(error.request.headers["x-stainless-retry-count"] == "1", error.request.headers)
        else:
            raise AssertionError("answered")


for name, cls in FEATURES:
    for kind, run in ((Chat, cls.chat), (Messages, cls.messages)):
        for provider, (deployment, _) in PROVIDERS.items():
            failure = ""
            client = kind(deployment)
            client.provider = provider
            try:
                run(client)
            except Exception:
                failure = traceback.format_exc(limit=-3)
            print(json.dumps({"feature": name, "client": kind.name, "provider": provider, "failure": failure}), flush=True)
