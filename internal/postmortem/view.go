package postmortem

import (
	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

// Understanding is what Refloat made of a report, each thing with its line.
type Understanding struct {
	File       string        `json:"file"`
	Format     string        `json:"format"`
	Title      string        `json:"title"`
	Written    *Day          `json:"written,omitempty"`
	Zone       string        `json:"zone,omitempty"`
	Sections   []SectionView `json:"sections"`
	Moments    []Moment      `json:"moments"`
	Timeline   []Entry       `json:"timeline"`
	Claims     []Claim       `json:"claims"`
	Objectives []Objective   `json:"objectives"`
	Figures    []FigureView  `json:"figures"`
	Causes     []Place       `json:"causes"`
	Actions    []Action      `json:"actions"`
	// Unknown are headings that fit no kind of section; what stands below them is
	// searched for facts all the same.
	Unknown []Place `json:"unknown"`
}

// SectionView is a heading and what it was taken for.
type SectionView struct {
	Kind  SectionKind `json:"kind"`
	Title string      `json:"title"`
	Place Place       `json:"place"`
}

// FigureView is a number with what it counts.
type FigureView struct {
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Place Place   `json:"place"`
}

// Understood is what was understood, ready to be shown.
func (d *Report) Understood() Understanding {
	u := Understanding{File: d.Name, Format: d.Format, Title: d.Title, Written: d.Written, Zone: d.defaultZone(), Moments: d.Moments, Timeline: d.Entries, Claims: d.Claims, Objectives: d.Objectives, Actions: d.Actions}
	for i, s := range d.Sections {
		switch {
		case s.Kind == NoSection && i == 0: // the title
		case s.Kind == NoSection || s.Kind == Other:
			u.Unknown = append(u.Unknown, s.Place)
		default:
			u.Sections = append(u.Sections, SectionView{s.Kind, s.Title, s.Place})
		}
	}
	for _, f := range d.Figures {
		v := FigureView{Value: f.Fact.Value, Unit: f.Fact.Unit, Place: f.Place}
		if f.Fact.Kind == prose.PercentFact {
			v.Unit = "%"
		}
		u.Figures = append(u.Figures, v)
	}
	for _, c := range d.causes() {
		u.Causes = append(u.Causes, d.at(c.block, c.block.toks[c.first].Lo, c.block.toks[c.end-1].Hi))
	}
	return u
}
