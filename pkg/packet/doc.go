// Package packet is the codec of Socket.IO packets, protocol version 5: their
// text form, their JSON and their binary attachments. It knows nothing of
// transports, namespaces' members or rooms.
//
// Outwards, MarshalEvent and MarshalArgs turn Go values into JSON with a
// placeholder for each []byte, and Packet.AppendText writes the text that
// precedes those attachments. Inwards, a Decoder per connection takes texts and
// binary messages and gives packets whose grammar, JSON, depth and placeholders
// have all been checked; Packet.Args and Unmarshal turn their data into Go values
// when somebody wants them.
package packet
