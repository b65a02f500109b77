package component

func gradeWords(letter string) string {
	switch letter {
	case "A":
		return "proven lately, every promise kept, nothing found"
	case "B":
		return "proven; something small"
	case "C":
		return "proven; something promised does not hold, or a grave risk"
	case "D":
		return "not certain to be recoverable"
	case "F":
		return "not shown to be recoverable"
	}
	return "not known"
}
