package wire

import (
	"net/http"
	"strconv"
)

// Problem is a request that cannot be served as it is written.
type Problem struct {
	Status  int    // HTTP
	Type    string // OpenAI's error type, e.g. invalid_request_error
	Code    string // OpenAI's error code, may be empty: null
	Param   string // offending field, may be empty: null
	Message string
}

// Error implements error.
func (p *Problem) Error() string { return p.Message }

// TypeInvalidRequest is OpenAI's error type for a request that is at fault.
const TypeInvalidRequest = "invalid_request_error"

// The codes of the problems that this package finds. Those that OpenAI has are
// spelled as OpenAI spells them.
const (
	CodeInvalidJSON   = "invalid_json"
	CodeTooDeep       = "json_too_deep"
	CodeTooManyFields = "too_many_fields"
	CodeDuplicate     = "duplicate_parameter"
	CodeMissing       = "missing_required_parameter"
	CodeInvalidType   = "invalid_type"
	CodeInvalidValue  = "invalid_value"
	CodeEmptyString   = "empty_string"
	CodeEmptyArray    = "empty_array"
	CodeBelowMinimum  = "integer_below_min_value"
	CodeUnsupported   = "unsupported_value"

	CodeUnknownParameter = "unknown_parameter"
)

// invalid is a 400 about the field param.
func invalid(code, param, message string) *Problem {
	return &Problem{Status: http.StatusBadRequest, Type: TypeInvalidRequest, Code: code, Param: param, Message: message}
}

// malformed is a 400 about the body as a whole, at a byte offset.
func malformed(what string, offset int) *Problem {
	return invalid(CodeInvalidJSON, "", "the request body is not valid JSON: "+what+" at byte "+strconv.Itoa(offset))
}

// AppendError appends p as an error body in OpenAI's shape,
// {"error":{"message","type","param","code"}}. Param and code are null when
// they are empty. Invalid UTF-8 in p comes out as U+FFFD.
func AppendError(dst []byte, p *Problem) []byte {
	dst = append(dst, `{"error":{"message":`...)
	dst = appendString(dst, p.Message)
	dst = append(dst, `,"type":`...)
	dst = appendString(dst, p.Type)
	dst = append(dst, `,"param":`...)
	dst = appendStringOrNull(dst, p.Param)
	dst = append(dst, `,"code":`...)
	dst = appendStringOrNull(dst, p.Code)
	return append(dst, `}}`...)
}

func appendStringOrNull(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return appendString(dst, s)
}

// AppendErrorAs appends p as an error body of the API of shape s.
func AppendErrorAs(dst []byte, s Shape, p *Problem) []byte {
	switch s {
	case ShapeMessages, ShapeCountTokens:
		dst = append(dst, `{"type":"error","error":{"type":`...)
		dst = appendString(dst, anthropicType(p.Status))
		dst = append(dst, `,"message":`...)
		dst = appendString(dst, p.Message)
		return append(dst, `}}`...)
	case ShapeChat, ShapeResponses, ShapeCompletions, ShapeEmbeddings:
	}
	return AppendError(dst, p)
}

// anthropicType is the error type that Anthropic's API has for a status.
func anthropicType(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusServiceUnavailable, 529:
		return "overloaded_error"
	case http.StatusGatewayTimeout:
		return "timeout_error"
	}
	if status >= http.StatusInternalServerError {
		return "api_error"
	}
	return TypeInvalidRequest
}
