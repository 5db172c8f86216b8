"""What is asked before an answer: messages read, gates, the dialogue rebuilt from them."""
