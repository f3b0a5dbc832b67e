//go:build !linux

package main

func releaseImage() {}
