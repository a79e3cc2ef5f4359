// How numbers look, as the server writes them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export function number(value) {
  return whole.format(value);
}

export function counted(value, one, many) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

export function size(bytes) {
  let left = bytes;
  for (const unit of ["bytes", "KiB", "MiB", "GiB"]) {
    if (Math.abs(left) < 1024 || unit === "GiB") {
      return unit === "bytes" || left >= 100 ? `${number(left)} ${unit}` : `${left.toFixed(1).replace(".0", "")} ${unit}`;
    }
    left /= 1024;
  }
}

export function duration(seconds) {
  const left = Math.round(seconds);
  if (left < 60) return `${left} s`;
  if (left < 3600) return `${Math.floor(left / 60)} min ${left % 60} s`;
  return `${Math.floor(left / 3600)} h ${Math.floor((left % 3600) / 60)} min`;
}

export function sentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
