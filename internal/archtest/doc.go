// Package archtest holds the rules of this house as tests: who may import whom,
// and what must not be written where. Every rule and every exception carries its
// reason; a rule that is in the way is changed here, in the open.
package archtest
