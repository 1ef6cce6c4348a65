"""The rules over the bot's own words and the draw of a token: what both engines share."""
