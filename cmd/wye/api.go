package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"wye/router"
)

// requestAPI is the API that name says, or of which body is a request by its
// fields. A body that is no JSON object has none, and is a chat completion for its
// reader to refuse.
func requestAPI(name string, body []byte) (router.API, error) {
	if name != "" {
		a, ok := router.ParseAPI(name)
		if !ok {
			var names []string
			for _, a := range router.AllAPIs {
				names = append(names, a.String())
			}
			return 0, usageError{fmt.Errorf("--api %q is none of %s", name, strings.Join(names, ", "))}
		}
		return a, nil
	}
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(body, &fields)
	has := func(name string) bool { return fields[name] != nil }
	switch {
	case has("messages"):
		if slices.ContainsFunc([]string{"system", "stop_sequences", "thinking", "output_config"}, has) {
			return router.APIMessages, nil
		}
	case has("input"):
		if isList(fields["input"]) || has("encoding_format") || has("dimensions") {
			return router.APIEmbeddings, nil
		}
		return router.APIResponses, nil
	case has("prompt"):
		if fields["prompt"][0] == '{' {
			return router.APIResponses, nil
		}
		return router.APICompletions, nil
	case has("previous_response_id"), has("conversation"):
		return router.APIResponses, nil
	}
	return router.APIChat, nil
}

// isList reports whether an input is a list of what is embedded and not of items.
func isList(input json.RawMessage) bool {
	var all []json.RawMessage
	return json.Unmarshal(input, &all) == nil && len(all) > 0 && all[0][0] != '{'
}
