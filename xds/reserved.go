package xds

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"wye/envoy"
)

// reservedHeaders removes what only Wye or Envoy may say, before the route is
// chosen and before any filter reads it.
func reservedHeaders() *earlyv3.HeaderMutation {
	var allowed []string
	for _, h := range envoy.ClientHeaders {
		allowed = append(allowed, strings.TrimPrefix(h, envoy.HeaderPrefix))
	}
	m := &earlyv3.HeaderMutation{}
	for _, others := range allOtherThan(allowed) {
		m.Mutations = append(m.Mutations, removeMatching(&matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{
			SafeRegex: &matcherv3.RegexMatcher{Regex: regexp.QuoteMeta(envoy.HeaderPrefix) + others},
		}}))
	}
	// One comparison of a prefix per header is cheaper than one search per header
	// that Envoy knows, and holds for those that it comes to know.
	m.Mutations = append(m.Mutations, removeMatching(
		&matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: envoy.EnvoyPrefix}}))
	return m
}

// removeMatching removes every header whose name matches.
func removeMatching(name *matcherv3.StringMatcher) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_RemoveOnMatch_{
		RemoveOnMatch: &mutationv3.HeaderMutation_RemoveOnMatch{KeyMatcher: name},
	}}
}

// allOtherThan returns regular expressions that together match every string but
// words: one for each letter that a word begins with, and one for the rest. A
// single one would soon exceed what Envoy takes, an RE2 program of 100
// instructions.
func allOtherThan(words []string) []string {
	byLetter := map[string][]string{}
	for _, w := range words {
		byLetter[w[:1]] = append(byLetter[w[:1]], w[1:])
	}
	letters := slices.Sorted(maps.Keys(byLetter))
	all := []string{".*"}
	if len(letters) > 0 {
		all[0] = "(?:|[^" + strings.ReplaceAll(strings.Join(letters, ""), "-", `\-`) + "].*)"
	}
	for _, c := range letters {
		all = append(all, c+otherThan(byLetter[c]))
	}
	return all
}

// otherThan returns a regular expression for every string but words, which are
// lowercase letters and hyphens. Envoy's matchers of header names cannot be
// negated, and RE2 cannot look ahead.
func otherThan(words []string) string {
	tails := map[byte][]string{} // by the letter before them
	isWord := false
	for _, w := range words {
		if w == "" {
			isWord = true
			continue
		}
		tails[w[0]] = append(tails[w[0]], w[1:])
	}
	if len(tails) == 0 {
		if isWord {
			return ".+"
		}
		return ".*"
	}
	letters := make([]byte, 0, len(tails))
	for c := range tails {
		letters = append(letters, c)
	}
	slices.Sort(letters)
	var b strings.Builder
	b.WriteString("(?:")
	if !isWord {
		b.WriteByte('|')
	}
	b.WriteString("[^" + strings.ReplaceAll(string(letters), "-", `\-`) + "].*")
	for _, c := range letters {
		b.WriteString("|" + string(c) + otherThan(tails[c]))
	}
	b.WriteByte(')')
	return b.String()
}
