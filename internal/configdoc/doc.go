// Command configdoc writes docs/configuration.md from the comments and the
// validation rules in the policy's schema, so that the reference cannot drift
// from what is checked. Its test fails when the committed page is stale.
//
// It must not know what a field means beyond what the schema says.
package main
