/* console_assets.S - the files of console/, and Chart.js as its package has it, as bytes of the
 * program. */
.macro asset name, path
    .global console_\name, console_\name\()_end
console_\name:
    .incbin "\path"
console_\name\()_end:
    .byte 0
.endm

    .section .rodata
    asset index_html, "console/index.html"
    asset css, "console/console.css"
    asset js, "console/console.js"
    asset chart_js, CHART_JS
    .section .note.GNU-stack, "", %progbits
