// Package port keeps ports for servers that are stopped and started again.
package port
