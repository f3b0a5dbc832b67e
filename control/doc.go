// Package control carries one policy to many Wyes: the server that hands each
// member of the fleet the part of the policy that its data zone may see, over
// delta or state-of-the-world xDS, and the client that a member runs, with the
// last good policy kept on disk. A policy travels as parts, so that an edit costs
// what it changes.
package control
