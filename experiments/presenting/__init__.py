"""How results are shown: colours and legends of pictures, documents as Markdown and HTML."""
