// Package readme holds the programs that README.md shows, so that they compile.
package readme
