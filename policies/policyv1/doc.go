// Package policyv1 is the policy document as Go types, generated from
// policies/proto by internal/protogen. It must not have code of its own.
package policyv1
