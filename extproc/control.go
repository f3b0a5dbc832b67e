package extproc

import (
	"bytes"
	"net/http"
	"strconv"

	"wye/router"
	"wye/wire"
)

// Restrict adds to req, which RequestOf made of f, what the body's routing_config
// asks for. Its mode comes before one that req has already, such as a header's:
// the body is the caller's own, a header may be anybody's on the way. A request
// for a deployment that s does not have stays as it is, for Route to refuse. It
// also finds out whether the request can be translated, where that matters.
func Restrict(req *router.Request, s *router.Snapshot, f *wire.Facts, body []byte) *wire.Problem {
	routing := &f.Routing
	if routing.Mode != nil {
		mode, ok := parseMode(routing.Mode)
		if !ok {
			return refuse(http.StatusBadRequest, codeInvalidMode, paramMode,
				"%s is %.64q; it can be quality, balanced or cost", paramMode, routing.Mode)
		}
		req.Mode = mode
	}
	if f.SessionStrategy != wire.StrategyDefault {
		req.Affinity, _ = router.ParseStrategy(f.SessionStrategy.String()) // the names are the same
	}
	d := s.Deployment(req.Deployment)
	if d == nil {
		return nil
	}
	if d.Translates(req.API) {
		req.Untranslatable = untranslatable(req.API, body, routing.RequireParameters)
	}
	if routing.Models == nil && !routing.RequireParameters {
		return nil
	}
	for i, m := range routing.Models {
		found := s.Match(d, m.Name, m.Version, m.Format)
		if found == 0 {
			param := "routing_config.models[" + strconv.Itoa(i) + "]"
			return refuse(http.StatusBadRequest, wire.CodeInvalidValue, param,
				"%s names no model of deployment %q: it is %s", param, d.Name, describe(m))
		}
		req.Only |= found
	}
	if routing.RequireParameters {
		req.Deaf = s.Dropping(d, func(name string) bool { return f.Sends(body, name) })
	}
	return nil
}

const paramMode = "routing_config.mode"

// parseMode takes a mode in any case: Foundry's documents write Balanced.
func parseMode(v []byte) (router.Mode, bool) {
	for _, m := range router.Modes {
		if bytes.EqualFold(v, []byte(m.String())) {
			return m, true
		}
	}
	return router.ModeDefault, false
}

// describe puts a model that a client named into words.
func describe(m wire.ModelRef) string {
	text := strconv.Quote(clip(m.Name))
	if m.Version != nil {
		text += " of version " + strconv.Quote(clip(m.Version))
	}
	if m.Format != nil {
		text += " of format " + strconv.Quote(clip(m.Format))
	}
	return text
}

// clip bounds a client's text in an error message.
func clip(v []byte) string {
	const most = 64
	return string(v[:min(len(v), most)])
}
