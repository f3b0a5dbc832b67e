package main

import (
	"github.com/spf13/cobra"

	"wye/internal/sidecar"
)

// addOTLPFlags adds the flags of the OpenTelemetry exporter.
func addOTLPFlags(cmd *cobra.Command, c *sidecar.Config) {
	cmd.Flags().StringVar(&c.OTLP.Endpoint, "otlp-endpoint", "", "`URL` of an OpenTelemetry collector for a span and metrics of each request (default: $OTEL_EXPORTER_OTLP_ENDPOINT, or none)")
	cmd.Flags().StringVar(&c.OTLP.Protocol, "otlp-protocol", "", "`protocol` it speaks: grpc or http/protobuf (default: $OTEL_EXPORTER_OTLP_PROTOCOL, or http/protobuf)")
}
