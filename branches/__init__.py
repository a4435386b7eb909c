"""Architecture to module: build, train, measure, graft and export the branch of one attribute."""
