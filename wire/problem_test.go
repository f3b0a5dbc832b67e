package wire_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/wire"
)

func TestAppendError(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		p    wire.Problem
		want string
	}{
		{
			"all",
			wire.Problem{Status: 400, Type: "invalid_request_error", Code: "invalid_type", Param: "model", Message: "model must be a string"},
			`{"error":{"message":"model must be a string","type":"invalid_request_error","param":"model","code":"invalid_type"}}`,
		},
		{"nulls", wire.Problem{Type: "server_error", Message: "no"}, `{"error":{"message":"no","type":"server_error","param":null,"code":null}}`},
		{
			"escapes",
			wire.Problem{Type: "t", Message: "\"\\\n\x00\x7fé\u2028😀\xff"},
			`{"error":{"message":"\"\\\u000a\u0000` + "\x7fé\u2028😀\uFFFD" + `","type":"t","param":null,"code":null}}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff("before"+tt.want, string(wire.AppendError([]byte("before"), &tt.p))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzAppendError(f *testing.F) {
	f.Add("message", "param\"", "co\\de")
	f.Add("\x00\u2028", "\xff", "é")
	f.Fuzz(func(t *testing.T, message, param, code string) {
		var got struct {
			Error struct {
				Message     string
				Type        string
				Param, Code *string
			}
		}
		b := wire.AppendError(nil, &wire.Problem{Type: "t", Message: message, Param: param, Code: code})
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		// Invalid bytes come back as U+FFFD, so compare without them.
		plain := func(s string) string { return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\uFFFD", "") }
		if plain(got.Error.Message) != plain(message) || got.Error.Type != "t" {
			t.Errorf("%q came back as %+v", message, got.Error)
		}
		for _, v := range []struct {
			got  *string
			want string
		}{{got.Error.Param, param}, {got.Error.Code, code}} {
			if v.got == nil != (v.want == "") || v.got != nil && plain(*v.got) != plain(v.want) {
				t.Errorf("%q came back as %v", v.want, v.got)
			}
		}
	})
}
