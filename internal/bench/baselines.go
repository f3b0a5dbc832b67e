package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net"
	"text/template"

	"go.yaml.in/yaml/v3"

	"wye/internal/bench/processor"
)

//go:embed baselines.yaml.tmpl
var baselinesText string

var baselinesTemplate = template.Must(template.New("baselines").Parse(baselinesText))

// baseline is a variant without Wye, as a listener of the baselines' Envoy.
type baseline struct {
	Name           string // of the listener
	Variant        string // as reports name it
	Processor      string // cluster; empty: no ext_proc filter
	ProcessingMode string
	RouteByHeader  bool // the processor chooses the cluster by a header
}

var baselines = []baseline{
	{Name: "plain", Variant: plainName},
	{
		Name: "floor", Variant: floorName, Processor: string(processor.Noop),
		ProcessingMode: "{request_header_mode: SEND, response_header_mode: SKIP, request_body_mode: NONE, response_body_mode: NONE}",
	},
	{
		Name: "three", Variant: threeName, Processor: string(processor.Noop),
		ProcessingMode: "{request_header_mode: SEND, response_header_mode: SEND, request_body_mode: BUFFERED, response_body_mode: NONE}",
	},
	{
		Name: "rewrite", Variant: rewriteName, Processor: string(processor.Rewrite), RouteByHeader: true,
		ProcessingMode: "{request_header_mode: SEND, response_header_mode: SKIP, request_body_mode: FULL_DUPLEX_STREAMED, " +
			"request_trailer_mode: SEND, response_body_mode: NONE}",
	},
}

// baselineBootstrap renders the static bootstrap of the baselines' Envoy as
// JSON. sockets maps a processor to its Unix socket.
func baselineBootstrap(upstream string, sockets map[processor.Kind]string) ([]byte, error) {
	host, port, err := net.SplitHostPort(upstream)
	if err != nil {
		return nil, fmt.Errorf("baselines: upstream: %w", err)
	}
	type cluster struct{ Name, Socket string }
	var clusters []cluster
	for _, kind := range []processor.Kind{processor.Noop, processor.Rewrite} {
		clusters = append(clusters, cluster{string(kind), sockets[kind]})
	}
	var text bytes.Buffer
	err = baselinesTemplate.Execute(&text, map[string]any{
		"Variants": baselines, "Processors": clusters,
		"Cluster": processor.Cluster, "ClusterHeader": processor.ClusterHeader,
		"UpstreamHost": host, "UpstreamPort": port,
	})
	if err != nil {
		return nil, fmt.Errorf("baselines: %w", err)
	}
	var document map[string]any
	if err := yaml.Unmarshal(text.Bytes(), &document); err != nil {
		return nil, fmt.Errorf("baselines: %w", err)
	}
	out, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("baselines: %w", err)
	}
	return out, nil
}
