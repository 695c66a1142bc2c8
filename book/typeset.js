/* Typesets formulas: one JSON request a line on stdin, one JSON answer a line on stdout.
   The path of KaTeX is the only argument. Ends when stdin does. */
"use strict";
const katex = require(process.argv[2]);

require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const { latex, display } = JSON.parse(line);
  let answer;
  try {
    answer = { html: katex.renderToString(latex, { displayMode: display, throwOnError: true, strict: "ignore" }) };
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
});
