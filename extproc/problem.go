package extproc

import (
	"fmt"
	"net/http"

	"wye/router"
	"wye/wire"
)

// The error types and codes of this package's own problems. Those that OpenAI
// has are spelled as OpenAI spells them.
const (
	typeServer = "server_error"

	codeModelNotFound   = "model_not_found"
	codeModeNotAllowed  = "mode_not_allowed"
	codeInvalidMode     = "invalid_mode"
	codeInvalidSession  = "invalid_session"
	codeContextLength   = "context_length_exceeded"
	codeNotPinned       = "previous_response_not_pinned"
	codeModelRequired   = "model_required"
	codeNoCandidate     = "no_candidate"
	codeTooLarge        = "request_too_large"
	codeMediaType       = "unsupported_media_type"
	codeContentEncoding = "unsupported_content_encoding"
	codeInvalidEncoding = "invalid_content_encoding"
	codeUnknownURL      = "unknown_url"
	codeMethod          = "method_not_allowed"
	codeTrailers        = "trailers_not_supported"
	codeBodyTimeout     = "request_timeout"
	codeNoPolicy        = "policy_not_loaded"
	codeOverloaded      = "overloaded"
	codeRateLimit       = "rate_limit_exceeded"
	codeCallerRequired  = "caller_required"
	codeCallerTwice     = "invalid_caller"
	codeInternal        = "internal_error"
	codeFallback        = "fallback_failed"
	codeAnswer          = "invalid_answer"
)

func refuse(status int, code, param, format string, a ...any) *wire.Problem {
	return &wire.Problem{
		Status: status, Type: wire.TypeInvalidRequest, Code: code, Param: param, Message: fmt.Sprintf(format, a...),
	}
}

func tooLarge(limit int) *wire.Problem {
	return refuse(http.StatusRequestEntityTooLarge, codeTooLarge, "", "the request body is larger than the %d bytes that are allowed", limit)
}

// The problems that are nobody's request's fault.
var (
	errNoPolicy = &wire.Problem{
		Status: http.StatusServiceUnavailable, Type: typeServer, Code: codeNoPolicy,
		Message: "the router has no policy yet; retry in a moment",
	}
	errOverloaded = &wire.Problem{
		Status: http.StatusServiceUnavailable, Type: typeServer, Code: codeOverloaded,
		Message: "the router holds too many request bodies at the moment; retry later",
	}
	errBusy = &wire.Problem{
		Status: http.StatusServiceUnavailable, Type: typeServer, Code: codeOverloaded,
		Message: "the router has more requests to decide than it can; retry later",
	}
	errInternal = &wire.Problem{
		Status: http.StatusInternalServerError, Type: typeServer, Code: codeInternal,
		Message: "the router failed to handle this request",
	}
	errBodyTimeout = &wire.Problem{
		Status: http.StatusRequestTimeout, Type: wire.TypeInvalidRequest, Code: codeBodyTimeout,
		Message: "the rest of the request body did not arrive in time",
	}
	errTrailers = &wire.Problem{
		Status: http.StatusBadRequest, Type: wire.TypeInvalidRequest, Code: codeTrailers,
		Message: "trailers after the request body are not supported",
	}
	errAnswer = &wire.Problem{
		Status: http.StatusBadGateway, Type: typeServer, Code: codeAnswer,
		Message: "the provider's answer could not be read",
	}
	errFallback = &wire.Problem{
		Status: http.StatusBadGateway, Type: typeServer, Code: codeFallback,
		Message: "the request could not be rewritten for the fallback model",
	}
)

// routeProblem is what the client is told when routing fails.
func routeProblem(err *router.Error) *wire.Problem {
	switch err.Kind {
	case router.ErrUnknownDeployment:
		return refuse(http.StatusNotFound, codeModelNotFound, "model", "%s", err.Message)
	case router.ErrModeNotAllowed:
		return refuse(http.StatusBadRequest, codeModeNotAllowed, "", "%s", err.Message)
	case router.ErrContextLength:
		return refuse(http.StatusBadRequest, codeContextLength, "messages", "%s", err.Message)
	case router.ErrNoCandidate:
		return refuse(http.StatusBadRequest, codeNoCandidate, "", "%s", err.Message)
	}
	return errInternal
}
