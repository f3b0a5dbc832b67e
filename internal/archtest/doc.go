// Package archtest keeps the repository's shape: which package may import
// which, and the rules about files that a reviewer would otherwise have to
// remember. Its tests read the source with go/parser, so files of every
// platform and build tag count. It must not know what the packages do.
package archtest
