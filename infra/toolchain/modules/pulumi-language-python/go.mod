module refsys.tool/pulumi-language-python

go 1.26

require github.com/pulumi/pulumi/sdk/v3 v3.60.0
replace golang.org/x/text => golang.org/x/text v0.3.6
