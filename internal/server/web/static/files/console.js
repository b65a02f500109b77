// Tells the server the viewer's time zone, so that pages show moments in it. All
// else works without scripts.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && !document.cookie.split("; ").some((c) => c.startsWith("refloat-zone="))) {
  document.cookie = "refloat-zone=" + encodeURIComponent(zone) + "; path=/; max-age=31536000; samesite=lax" +
    (location.protocol === "https:" ? "; secure" : "");
}
