module refsys.tool/grype

go 1.26

require github.com/anchore/grype v0.110.0
