package app

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/target"
)

// slotSource answers what a look at the slot asks.
type slotSource struct {
	backup.LogSource
	err error
}

func (s slotSource) Slot(_ context.Context, name string) (target.Slot, error) {
	return target.Slot{Name: name, Exists: true, Retained: 7}, s.err
}

func (s slotSource) Identify(context.Context) (target.LogIdentity, error) {
	return target.LogIdentity{Flushed: 42}, nil
}

func TestCareLooksAtItsSlot(t *testing.T) {
	c := NewCare(CareOptions{Target: "shop", Slot: "refloat_shop", SlotBound: 9, LogSource: slotSource{}})
	v, err := c.Slot(context.Background())
	if err != nil || v.Slot.Name != "refloat_shop" || v.Server != 42 || c.SlotBound != 9 || c.Target != "shop" {
		t.Errorf("%+v %v", v, err)
	}
	refused := errors.New("connection refused")
	c = NewCare(CareOptions{Slot: "refloat_shop", LogSource: slotSource{err: refused}})
	if _, err := c.Slot(context.Background()); !errors.Is(err, refused) || !strings.Contains(err.Error(), "refloat_shop") {
		t.Error(err)
	}
}
