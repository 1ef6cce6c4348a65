"""What is known of English and Korean: ends of sentences, words that mean something, questions."""
