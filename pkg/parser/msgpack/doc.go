// Package msgpack is the parser for clients that use socket.io-msgpack-parser 3:
// one binary message of MessagePack per packet, which holds the attachments too.
//
// A packet is a map of type, nsp and, where they are there, data and id; other
// members, such as the client's options, are passed over. What a client sends
// becomes JSON as the default parser would have brought it:
//
//   - undefined, NaN and the infinities become null, a Date its ISO 8601 text;
//   - whole numbers keep all their digits, keys of other kinds become strings;
//   - an extension of unknown type becomes an array of its type and an attachment;
//   - an object that looks like a placeholder is plain data in a packet without
//     attachments. With attachments JSON cannot tell the two apart, and the packet
//     is refused.
//
// Everything else is refused as the default parser refuses it, invalid UTF-8 and
// bytes behind the packet among it. Attachments are for events and acknowledgements
// only.
package msgpack
