package target

// Known is a fact that was looked at, or the reason why it could not be. The
// zero value is not known, so that what nobody looked at never counts as good.
type Known[T any] struct {
	Value T      `json:"value"`
	Seen  bool   `json:"seen"`
	Why   string `json:"why,omitempty"` // why it is not known
}

// Seen is a known fact.
func Seen[T any](v T) Known[T] { return Known[T]{Value: v, Seen: true} }

// Unseen is a fact that is not known, with the reason.
func Unseen[T any](why string) Known[T] { return Known[T]{Why: why} }
