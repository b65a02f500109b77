package sqlite

import (
	"testing"

	"github.com/refloat-db/refloat/internal/store/storetest"
)

func TestSubscribers(t *testing.T) {
	storetest.RunSubscribers(t, func(t *testing.T) (storetest.Subscribers, func() storetest.Subscribers) {
		dir := t.TempDir()
		return open(t, dir), func() storetest.Subscribers { return open(t, dir) }
	})
}
