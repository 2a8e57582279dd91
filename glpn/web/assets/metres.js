// Metres with what they are worth, as glpn/scene/uncertainty.py writes them: "2.3 m ± 0.7".
// `uncertainty` is {relative, at_least} as Uncertainty.to_dict gives it.

export function metres(value, uncertainty, unit = "m") {
  const relative = uncertainty?.relative ?? null;
  if (relative === null) return `${rounded(value, 1 - magnitude(value, 2))} ${unit}, error unknown`;
  const error = Math.abs(value) * relative;
  let decimals = 1 - magnitude(value, 2);
  if (error > 0) decimals = Math.max(decimals, -magnitude(error, 1));
  return `${rounded(value, decimals)} ${unit} ± ${rounded(error, decimals)}${uncertainty.at_least ? " or more" : ""}`;
}

// The power of ten of the first digit of `value`, rounded to `digits`; 0 for 0.
function magnitude(value, digits) {
  return value
    ? Number(
        Math.abs(value)
          .toExponential(digits - 1)
          .split("e")[1],
      )
    : 0;
}

function rounded(value, decimals) {
  if (decimals >= 0) return value.toFixed(decimals);
  const step = 10 ** -decimals;
  return String(Math.round(value / step) * step);
}
